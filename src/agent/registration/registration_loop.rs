//! The loop that keeps the node registered with one registry.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::schedule::{Notice, Outcome, Schedule, Step};
use super::state::RegistryState;
use super::terms::Terms;
use crate::agent::client::sanitize::with_causes;
use crate::agent::client::{ClientError, RegistryClient};
use crate::agent::events::Event;
use crate::clock::Timer;
use crate::protocol::{ErrorCode, RegisterRequest};

/// The loop for one registry.
pub(crate) struct RegistrationLoop {
    client: RegistryClient,
    timer: Arc<dyn Timer>,
    registration: watch::Receiver<Arc<RegisterRequest>>,
    events: broadcast::Sender<Event>,
    state: watch::Sender<RegistryState>,
    schedule: Schedule,
}

impl RegistrationLoop {
    pub(crate) fn new(
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

    /// Subscribes to the state of the registration.
    pub(crate) fn state(&self) -> watch::Receiver<RegistryState> {
        self.state.subscribe()
    }

    /// Runs until it is aborted, or until the agent, which sends updates, is dropped.
    pub(crate) async fn run(mut self) {
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
                    let result = self.send(plan.step).await;
                    self.record(result);
                }
            }
        }
    }

    /// Sends the request of `step` with the newest registration.
    async fn send(&self, step: Step) -> Result<Terms, ClientError> {
        let registration = Arc::clone(&self.registration.borrow());
        match step {
            Step::Register => {
                let response = self.client.register(&registration).await?;
                Ok(Terms::from(&response))
            }
            Step::Heartbeat => {
                let response = self.client.heartbeat(&registration.peer_id).await?;
                Ok(Terms::from(&response))
            }
        }
    }

    /// Plans the next step by the result of the last one, and publishes state and event.
    fn record(&mut self, result: Result<Terms, ClientError>) {
        let (outcome, error) = match result {
            Ok(terms) => (Outcome::Accepted(terms), None),
            Err(error) => (outcome_of(&error), Some(error)),
        };
        let now_ms = self.timer.now_ms();
        let notice = self.schedule.record(outcome, now_ms, &mut rand::rng());
        let state = state_of(&self.client, &self.schedule, error.as_ref());
        self.state.send_replace(state);
        if let Some(notice) = notice {
            // Fails if there is no reader, which is fine.
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
                reason: error.map_or_else(String::new, |error| with_causes(error)),
                retry_at_ms,
            },
        }
    }
}

/// What an error means for the schedule.
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
        last_error: error.map(|error| with_causes(error)),
    }
}
