//! The command line of the server: its settings, and what it can do instead of serving.

use clap::{Args, Parser, Subcommand};
use enum_map::EnumMap;
use peer_registry::protocol::Tier;

use crate::setting_flags::{BudgetSettings, ServerSettings, secrets_help};

/// A bootstrap registry for peer-to-peer networks.
///
/// Peers announce themselves with POST /register, renew their lease with POST /heartbeat, and are
/// listed by GET /peers. Every setting but secrets can be given as a flag, in the environment, or in
/// a file `.env`; the first of these that has it wins. Logs go to stderr; RUST_LOG sets how much (info).
#[derive(Parser)]
#[command(
    name = "peer-registry",
    version,
    after_help = secrets_help(),
    args_conflicts_with_subcommands = true
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) settings: ServerSettings,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What the command can do instead of serving.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Simulates a month of relaying day by day, with the policy of the server
    SimulateCost(SimulateCost),
}

/// A load, and the budget to try it with.
#[derive(Args)]
pub(crate) struct SimulateCost {
    /// Registered peers
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    pub(crate) peers: u32,

    /// TURN sessions requested per day
    #[arg(long, value_name = "COUNT", default_value_t = 1000,
          value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(crate) sessions_per_day: u32,

    /// Bandwidth that each session needs, in Mbit/s
    #[arg(long, value_name = "MBPS", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) mbps: u32,

    /// How long each session is needed, in minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: u32,

    /// How the sessions are divided among the tiers
    #[arg(long, value_name = "TIER=PARTS,...", value_parser = parse_tier_parts,
          default_value = "free=70,basic=15,standard=10,premium=5")]
    pub(crate) tiers: TierParts,

    /// Print JSON instead of a table
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) budget: BudgetSettings,
}

/// The part of each tier, in ascending order of tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TierParts(pub(crate) EnumMap<Tier, u32>);

fn parse_tier_parts(text: &str) -> Result<TierParts, String> {
    let fault = || "must be TIER=PARTS of free, basic, standard or premium, e.g. free=9,basic=1";
    let mut parts = EnumMap::default();
    for part in text.split(',') {
        let (tier, count) = part.trim().split_once('=').ok_or_else(fault)?;
        let tier: Tier = tier.parse().map_err(|_| fault())?;
        parts[tier] = count.parse::<u16>().map_err(|_| fault())?.into();
    }
    if parts.values().all(|count| *count == 0) {
        return Err(fault().to_owned());
    }
    Ok(TierParts(parts))
}
