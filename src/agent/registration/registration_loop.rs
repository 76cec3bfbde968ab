//! The loop that keeps the node registered with one registry.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use super::outcome::{Notice, Outcome};
use super::remarks::Remarks;
use super::report::{event_of, event_of_notice};
use super::schedule::{Schedule, Step};
use super::state::RegistryState;
use super::terms::Terms;
use crate::agent::client::sanitize::with_causes;
use crate::agent::client::{ClientError, RegistryClient};
use crate::agent::discovery::LastKnownGood;
use crate::agent::events::Event;
use crate::clock::Timer;
use crate::protocol::RegisterRequest;

/// The loop for one registry.
pub(crate) struct RegistrationLoop {
    client: RegistryClient,
    /// Keeps the key that the registry has proven.
    last_known_good: LastKnownGood,
    timer: Arc<dyn Timer>,
    registration: watch::Receiver<Arc<RegisterRequest>>,
    /// Changes when the node says that the network has changed.
    network_changes: watch::Receiver<()>,
    /// Tells the fallback that the node has registered.
    registered: watch::Sender<()>,
    events: broadcast::Sender<Event>,
    state: watch::Sender<RegistryState>,
    schedule: Schedule,
    remarks: Remarks,
}

/// What an accepted request brought.
struct Accepted {
    terms: Terms,
    /// What the registry said besides.
    remarks: Vec<Event>,
    /// Whether another node has replaced the registration.
    is_replaced: bool,
}

impl RegistrationLoop {
    pub(crate) fn new(
        client: RegistryClient,
        last_known_good: LastKnownGood,
        timer: Arc<dyn Timer>,
        registration: watch::Receiver<Arc<RegisterRequest>>,
        network_changes: watch::Receiver<()>,
        registered: watch::Sender<()>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let schedule = Schedule::start(timer.now_ms());
        let state = watch::Sender::new(state_of(&client, &schedule, None));
        Self {
            client,
            last_known_good,
            timer,
            registration,
            network_changes,
            registered,
            events,
            state,
            schedule,
            remarks: Remarks::default(),
        }
    }

    /// Subscribes to the state of the registration.
    pub(crate) fn state(&self) -> watch::Receiver<RegistryState> {
        self.state.subscribe()
    }

    /// Runs until it is aborted, or until the agent, which sends updates, is dropped.
    pub(crate) async fn run(mut self) {
        self.recall_registry_key().await;
        loop {
            tokio::select! {
                biased;
                changed = self.registration.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.schedule.update(self.timer.now_ms());
                    self.publish_plan();
                }
                Ok(()) = self.network_changes.changed() => {
                    self.schedule.try_now(self.timer.now_ms());
                    self.publish_plan();
                }
                () = self.timer.sleep_until(self.schedule.wake_ms()) => self.wake().await,
            }
        }
    }

    /// Reports the end of the lease, and sends the next request if it is time.
    async fn wake(&mut self) {
        let now_ms = self.timer.now_ms();
        if self.schedule.has_lapsed(now_ms) {
            let registry = self.client.url().to_owned();
            self.report(Event::LeaseLapsed { registry });
        }
        let plan = self.schedule.plan();
        if plan.at_ms <= now_ms {
            let result = self.send(plan.step).await;
            for notice in self.client.take_notices() {
                self.report(event_of_notice(notice, self.client.url()));
            }
            self.keep_registry_key().await;
            self.record(result);
        }
    }

    /// Expects the key that the registry has proven to an earlier agent, if there is a file that says so.
    async fn recall_registry_key(&self) {
        if self.client.has_key()
            && let Some(key) = self.last_known_good.registry_key(self.client.url()).await
        {
            self.client.expect_registry_key(key);
        }
    }

    /// Keeps the key that the registry has proven. Writes only if it is new.
    async fn keep_registry_key(&self) {
        if let Some(key) = self.client.registry_key() {
            let registry = self.client.url();
            self.last_known_good.keep_registry_key(registry, &key).await;
        }
    }

    /// Sends the request of `step` with the newest registration.
    async fn send(&mut self, step: Step) -> Result<Accepted, ClientError> {
        let registration = Arc::clone(&self.registration.borrow());
        let registry = self.client.url();
        match step {
            Step::Register => {
                let response = self.client.register(&registration).await?;
                Ok(Accepted {
                    terms: Terms::from(&response),
                    remarks: self.remarks.of_registration(&response, registry),
                    is_replaced: false,
                })
            }
            Step::Heartbeat => {
                let response = self.client.heartbeat(&registration.peer_id).await?;
                let remarks = self.remarks.of_heartbeat(&response, registry);
                Ok(Accepted {
                    terms: Terms::from(&response),
                    remarks: remarks.into_iter().collect(),
                    is_replaced: self.remarks.is_replaced(&response),
                })
            }
        }
    }

    /// Plans the next step by the result of the last one, and publishes state and events.
    fn record(&mut self, result: Result<Accepted, ClientError>) {
        let now_ms = self.timer.now_ms();
        let (outcome, accepted, error) = match result {
            Ok(accepted) => (Outcome::Accepted(accepted.terms), Some(accepted), None),
            Err(error) => (outcome_of(&error), None, Some(error)),
        };
        let notices = self.schedule.record(outcome, now_ms, &mut rand::rng());
        let is_replaced = accepted
            .as_ref()
            .is_some_and(|accepted| accepted.is_replaced);
        let replaced = is_replaced
            .then(|| self.schedule.replaced(now_ms))
            .flatten();
        let state = state_of(&self.client, &self.schedule, error.as_ref());
        self.state.send_replace(state);
        for notice in notices {
            self.report(event_of(
                notice,
                self.client.url(),
                &self.schedule,
                error.as_ref(),
            ));
            if matches!(notice, Notice::Registered | Notice::Reregistered) {
                self.registered.send_replace(());
            }
        }
        for event in accepted.into_iter().flat_map(|accepted| accepted.remarks) {
            self.report(event);
        }
        if let Some(announces_again) = replaced {
            let registry = self.client.url().to_owned();
            self.report(Event::Replaced {
                registry,
                announces_again,
            });
        }
    }

    fn publish_plan(&self) {
        let plan = self.schedule.plan();
        self.state.send_modify(|state| {
            (state.next_step, state.next_step_at_ms) = (plan.step, plan.at_ms);
        });
    }

    fn report(&self, event: Event) {
        // Fails if there is no reader, which is fine.
        let _ = self.events.send(event);
    }
}

/// What an error means for the schedule.
fn outcome_of(error: &ClientError) -> Outcome {
    match error {
        _ if error.is_peer_not_found() => Outcome::PeerNotFound,
        _ if error.is_throttled() => Outcome::Throttled {
            retry_after: error.retry_after(),
            code: error.code().cloned(),
        },
        // Also a proof that is missing, or that was refused again after a new handshake.
        ClientError::Refused { code, body, .. } if !error.is_retryable() => Outcome::Refused {
            code: code.clone(),
            message: body.error.clone(),
        },
        _ => Outcome::Failed {
            reason: error.reason(),
        },
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
