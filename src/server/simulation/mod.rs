//! Simulates a month of relaying with the policy that a registry uses.
//!
//! An operator can try a budget before using it. Sessions arrive evenly over the day and all have
//! tried a direct connection; each belongs to a peer of its own, so that limits per peer and the
//! capacity of TURN servers have no effect. A session that is needed for longer than its grant is
//! renewed.

use enum_map::EnumMap;

use crate::protocol::{CostMode, Tier};
use crate::server::config::CostConfig;
use crate::server::model::CostState;
use crate::server::policy::allocation::{self, AllocationRequest, Grant, GrantedCapacity};
use crate::server::policy::cost::{self, DAY_MS, Month};

/// The length of a step, in milliseconds. Sessions arrive, end and are renewed once per step.
const STEP_MS: i64 = 5 * 60_000;
const STEPS_PER_DAY: u32 = (DAY_MS / STEP_MS) as u32;

/// Size of the response to a heartbeat; each peer receives one every two minutes.
const HEARTBEAT_BYTES: f64 = 380.0;
const HEARTBEATS_PER_DAY: f64 = 720.0;

/// Bytes that one Mbit/s moves in a step.
const BYTES_PER_MBPS_STEP: f64 = 125_000.0 * STEP_MS as f64 / 1000.0;

/// The requests of each day.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// Registered peers.
    pub peers: u32,
    /// Sessions that are requested in a day.
    pub sessions_per_day: u32,
    /// The bandwidth that each needs, in Mbit/s.
    pub mbps: u32,
    /// How long each is needed, in minutes.
    pub minutes: u32,
    /// The share of each tier in the sessions, as relative parts in the order of [`Tier::ALL`].
    pub tier_parts: EnumMap<Tier, u32>,
}

/// One day of the month.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// When it begins, in Unix milliseconds.
    pub start_ms: i64,
    /// What the month has cost by its end, in US dollars.
    pub spend_usd: f64,
    /// What the whole month is then expected to cost, in US dollars.
    pub projected_usd: f64,
    /// The tightest mode of the day.
    pub mode: CostMode,
    /// Sessions granted, without renewals.
    pub granted: u32,
    /// Sessions refused or cut short, by tier.
    pub refused: EnumMap<Tier, u32>,
}

/// A live session.
struct Session {
    tier: Tier,
    mbps: u32,
    /// Steps until the grant ends.
    granted_steps: u32,
    /// Steps for which its peer still needs it.
    needed_steps: u32,
}

struct Simulation<'c> {
    config: &'c CostConfig,
    load: &'c Load,
    state: CostState,
    /// The present mode.
    mode: CostMode,
    sessions: Vec<Session>,
    granted_mbps: u64,
    premium_sessions: u32,
    bytes: f64,
    /// Fractions of sessions that have not arrived yet, by tier.
    due: EnumMap<Tier, f64>,
}

/// Simulates all days of the month that contains `now_ms`.
pub fn simulate(config: &CostConfig, load: &Load, now_ms: i64) -> Vec<Day> {
    let month = Month::of(now_ms);
    let mut simulation = Simulation {
        config,
        load,
        state: CostState::default(),
        mode: CostState::default().mode_at(config, month.start_ms),
        sessions: Vec::new(),
        granted_mbps: 0,
        premium_sessions: 0,
        bytes: 0.0,
        due: EnumMap::default(),
    };
    let days = (month.end_ms - month.start_ms) / DAY_MS;
    (0..days)
        .map(|day| simulation.play_day(month.start_ms + day * DAY_MS))
        .collect()
}

impl Simulation<'_> {
    fn play_day(&mut self, start_ms: i64) -> Day {
        let mut day = Day {
            start_ms,
            spend_usd: 0.0,
            projected_usd: 0.0,
            mode: CostMode::Normal,
            granted: 0,
            refused: EnumMap::default(),
        };
        for step in 1..=i64::from(STEPS_PER_DAY) {
            self.arrive(&mut day);
            self.relay(&mut day);
            // The last millisecond of the day still belongs to its month.
            let now_ms = start_ms + step * STEP_MS - 1;
            let metered = cost::metered(self.config, now_ms, self.bytes as i64);
            let forecast = cost::forecast(self.config, metered, now_ms);
            self.state.mode =
                cost::next_mode(self.state.mode, forecast.ratio, &self.config.thresholds);
            self.mode = self.state.mode_at(self.config, now_ms);
            day.mode = day.mode.max(self.mode);
            day.spend_usd = metered.total_usd();
            day.projected_usd = forecast.projected_usd;
        }
        day
    }

    /// Requests the sessions of one step.
    fn arrive(&mut self, day: &mut Day) {
        let parts: u32 = self.load.tier_parts.values().sum();
        let per_step = f64::from(self.load.sessions_per_day) / f64::from(STEPS_PER_DAY);
        for tier in Tier::ALL {
            let share = f64::from(self.load.tier_parts[tier]) / f64::from(parts.max(1));
            self.due[tier] += per_step * share;
            while self.due[tier] >= 1.0 {
                self.due[tier] -= 1.0;
                match self.ask(tier, None) {
                    Some(grant) => {
                        day.granted += 1;
                        self.granted_mbps += u64::from(grant.mbps);
                        self.premium_sessions += u32::from(tier == Tier::Premium);
                        self.sessions.push(Session {
                            tier,
                            mbps: grant.mbps,
                            granted_steps: steps_of(grant),
                            needed_steps: self.needed_steps(),
                        });
                    }
                    None => day.refused[tier] += 1,
                }
            }
        }
    }

    /// Relays for one step; renews the sessions whose grant has ended, and ends those that are done.
    fn relay(&mut self, day: &mut Day) {
        let heartbeats = f64::from(self.load.peers) * HEARTBEATS_PER_DAY / f64::from(STEPS_PER_DAY);
        self.bytes += heartbeats * HEARTBEAT_BYTES;
        self.bytes += self.granted_mbps as f64 * BYTES_PER_MBPS_STEP;
        let mut index = 0;
        while index < self.sessions.len() {
            let session = &mut self.sessions[index];
            session.needed_steps -= 1;
            session.granted_steps -= 1;
            let (tier, mbps) = (session.tier, session.mbps);
            if session.needed_steps > 0 && session.granted_steps > 0 {
                index += 1;
                continue;
            }
            self.granted_mbps -= u64::from(mbps);
            let renewal = (session.needed_steps > 0).then(|| self.ask(tier, Some(tier)));
            match renewal {
                Some(Some(grant)) => {
                    self.granted_mbps += u64::from(grant.mbps);
                    let session = &mut self.sessions[index];
                    session.mbps = grant.mbps;
                    session.granted_steps = steps_of(grant);
                    index += 1;
                }
                refused_or_done => {
                    day.refused[tier] += u32::from(refused_or_done.is_some());
                    self.premium_sessions -= u32::from(tier == Tier::Premium);
                    self.sessions.swap_remove(index);
                }
            }
        }
    }

    fn ask(&self, tier: Tier, renewed: Option<Tier>) -> Option<Grant> {
        let ask = AllocationRequest {
            tier,
            mbps: self.load.mbps,
            p2p_attempted: true,
            renewed,
        };
        let standing = GrantedCapacity {
            own_sessions: 0,
            own_mbps: 0,
            other_mbps: self.granted_mbps,
            premium_sessions: self.premium_sessions - u32::from(renewed == Some(Tier::Premium)),
        };
        allocation::decide(ask, standing, self.mode, &self.config.tiers).ok()
    }

    fn needed_steps(&self) -> u32 {
        let minutes_per_step = (STEP_MS / 60_000) as u32;
        self.load.minutes.div_ceil(minutes_per_step).max(1)
    }
}

fn steps_of(grant: Grant) -> u32 {
    let steps = grant.duration_secs / (STEP_MS as u64 / 1000);
    u32::try_from(steps).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests;
