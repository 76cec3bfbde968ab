//! The loop that keeps the node registered with one registry.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::client::RegistryClient;
use super::error::ClientError;
use super::events::Event;
use super::schedule::{Notice, Outcome, Schedule, Step};
use super::terms::Terms;
use super::words;
use crate::clock::Timer;
use crate::protocol::{ErrorCode, RegisterRequest};

/// How the node stands with one registry; moments are in Unix milliseconds by the node's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryState {
    /// The address of the registry.
    pub registry: String,
    /// When the lease runs out unless it is renewed; none before the first registration and after
    /// the registry has forgotten the node.
    pub lease_until_ms: Option<i64>,
    /// What is asked of the registry next.
    pub next_step: Step,
    /// When that is.
    pub next_step_at_ms: i64,
    /// What went wrong with the last step, if it did.
    pub last_error: Option<String>,
}

impl RegistryState {
    /// Whether the node holds a lease at `now_ms`, by its own reckoning.
    pub fn is_registered(&self, now_ms: i64) -> bool {
        self.lease_until_ms.is_some_and(|until| now_ms < until)
    }
}

/// The loop for one registry.
pub(super) struct Session {
    client: RegistryClient,
    timer: Arc<dyn Timer>,
    registration: watch::Receiver<Arc<RegisterRequest>>,
    events: broadcast::Sender<Event>,
    state: watch::Sender<RegistryState>,
    schedule: Schedule,
}

impl Session {
    pub(super) fn new(
        client: RegistryClient,
        timer: Arc<dyn Timer>,
        registration: watch::Receiver<Arc<RegisterRequest>>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let schedule = Schedule::start(timer.now_ms());
        let state = watch::Sender::new(state_of(&client, &schedule, None));
        Self {
            client,
            timer,
            registration,
            events,
            state,
            schedule,
        }
    }

    /// Where to read how the node stands.
    pub(super) fn state(&self) -> watch::Receiver<RegistryState> {
        self.state.subscribe()
    }

    /// Runs until it is aborted, or nobody can update the registration any more.
    pub(super) async fn run(mut self) {
        loop {
            let plan = self.schedule.plan();
            tokio::select! {
                biased;
                changed = self.registration.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.schedule.update(self.timer.now_ms());
                    self.state.send_modify(|state| {
                        let plan = self.schedule.plan();
                        (state.next_step, state.next_step_at_ms) = (plan.step, plan.at_ms);
                    });
                }
                () = self.timer.sleep_until(plan.at_ms) => {
                    let result = self.take(plan.step).await;
                    self.settle(result);
                }
            }
        }
    }

    async fn take(&self, step: Step) -> Result<Terms, ClientError> {
        let registration = Arc::clone(&self.registration.borrow());
        match step {
            Step::Register => {
                let answer = self.client.register(&registration).await?;
                Ok(Terms::from(&answer))
            }
            Step::Heartbeat => {
                let answer = self.client.heartbeat(&registration.peer_id).await?;
                Ok(Terms::from(&answer))
            }
        }
    }

    fn settle(&mut self, result: Result<Terms, ClientError>) {
        let (outcome, error) = match result {
            Ok(terms) => (Outcome::Accepted(terms), None),
            Err(error) => (outcome_of(&error), Some(error)),
        };
        let now_ms = self.timer.now_ms();
        let notice = self.schedule.settle(outcome, now_ms, &mut rand::rng());
        let state = state_of(&self.client, &self.schedule, error.as_ref());
        self.state.send_replace(state);
        if let Some(notice) = notice {
            // Nobody needs to listen.
            let _ = self.events.send(self.event(notice, error.as_ref()));
        }
    }

    fn event(&self, notice: Notice, error: Option<&ClientError>) -> Event {
        let registry = self.client.url().to_owned();
        let retry_at_ms = self.schedule.plan().at_ms;
        let lease_until_ms = self.schedule.lease_until_ms().unwrap_or(retry_at_ms);
        let heartbeat_interval_ms = self.schedule.interval_ms();
        match notice {
            Notice::Registered => Event::Registered {
                registry,
                lease_until_ms,
                heartbeat_interval_ms,
            },
            Notice::Reregistered => Event::Reregistered {
                registry,
                lease_until_ms,
                heartbeat_interval_ms,
            },
            Notice::Renewed => Event::Renewed {
                registry,
                lease_until_ms,
            },
            Notice::Lost => Event::Lost { registry },
            Notice::Throttled => Event::Throttled {
                registry,
                retry_at_ms,
            },
            Notice::Refused => {
                let body = error.and_then(ClientError::body);
                Event::Refused {
                    registry,
                    code: body.map_or(ErrorCode::Internal, |body| body.code),
                    message: body.map_or_else(String::new, |body| body.error.clone()),
                    retry_at_ms,
                }
            }
            Notice::Unreachable => Event::Unreachable {
                registry,
                reason: error.map_or_else(String::new, |error| words::in_full(error)),
                retry_at_ms,
            },
        }
    }
}

/// What an error means to the schedule.
fn outcome_of(error: &ClientError) -> Outcome {
    match error {
        _ if error.is_peer_not_found() => Outcome::PeerNotFound,
        _ if error.is_throttled() => Outcome::Throttled {
            retry_after: error.retry_after(),
        },
        ClientError::Refused { body, .. } if !error.is_retryable() => Outcome::Refused(body.code),
        _ => Outcome::Failed,
    }
}

fn state_of(
    client: &RegistryClient,
    schedule: &Schedule,
    error: Option<&ClientError>,
) -> RegistryState {
    let plan = schedule.plan();
    RegistryState {
        registry: client.url().to_owned(),
        lease_until_ms: schedule.lease_until_ms(),
        next_step: plan.step,
        next_step_at_ms: plan.at_ms,
        last_error: error.map(|error| words::in_full(error)),
    }
}
