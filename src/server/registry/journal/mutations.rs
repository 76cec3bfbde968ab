//! The log lines about mutations.

use log::debug;

use super::kind::Kind;
use super::lines::Journal;
use crate::clock::rfc3339;
use crate::protocol::{PeerId, RegisterTurnServerRequest, SetModeRequest, SetSpendRequest};
use crate::server::model::Registration;
use crate::server::registry::error::RegistryError;
use crate::server::registry::mutation::{Announced, Mutation, Registered, SetPeerTier};
use crate::server::registry::relay::GrantedSession;
use crate::server::registry::reply::ReportedUsage;

impl Journal {
    /// Logs the decision on a mutation.
    pub(crate) fn mutation(&mut self, now_ms: i64, mutation: &Mutation) {
        match mutation {
            Mutation::Register(it) => match it.decision() {
                Ok(announced) => self.registered(now_ms, &it.request, *announced),
                Err(error) => self.registration_refused(now_ms, &it.request.peer_id, *error),
            },
            Mutation::Renew(it) => heartbeat(&it.request.peer_id, it.decision()),
            Mutation::OfferTurn(it) => match it.decision() {
                Ok(offered) => {
                    if offered.comes_back {
                        self.alternates(now_ms, &it.request.peer_id, "TURN offers");
                    }
                    self.turn_server(now_ms, &it.request);
                }
                refused @ Err(_) => heartbeat(&it.request.peer_id, refused),
            },
            Mutation::Allocate(it) => {
                let peer = &it.request.peer_id;
                match it.decision() {
                    Ok(Ok(granted)) => {
                        self.granted(now_ms, granted, it.request.session_id.is_some());
                    }
                    Ok(Err(refusal)) => {
                        debug!("refused TURN session peer={peer} reason={}", refusal.code());
                    }
                    Err(error) => debug!("refused TURN session peer={peer} reason={error:?}"),
                }
            }
            Mutation::Release(it) => {
                if let Ok(bytes) = it.decision() {
                    let peer = &it.request.peer_id;
                    let line = format_args!("released TURN session peer={peer} bytes={bytes}");
                    self.log(Kind::Released, now_ms, line);
                }
            }
            Mutation::Report(it) => {
                if let Ok(ReportedUsage { accepted, unknown }) = it.decision() {
                    let server = &it.request.peer_id;
                    debug!("TURN usage server={server} accepted={accepted} unknown={unknown}");
                }
            }
            Mutation::Unregister(it) => {
                if it.decision().is_ok() {
                    let peer = &it.request.peer_id;
                    let line = format_args!("unregistered peer={peer}");
                    self.log(Kind::Unregistered, now_ms, line);
                }
            }
            Mutation::SetTier(it) => {
                let SetPeerTier { peer_id, tier } = &it.request;
                let line = format_args!("operator set tier peer={peer_id} tier={tier}");
                self.log(Kind::Operator, now_ms, line);
            }
            Mutation::SetSpend(it) => self.bill(now_ms, &it.request),
            Mutation::SetMode(it) => self.forced_mode(now_ms, &it.request),
        }
    }

    fn alternates(&mut self, now_ms: i64, peer: &PeerId, what: &str) {
        let line = format_args!(
            "{what} of one peer alternate, two nodes may use the same key peer={peer}"
        );
        self.log(Kind::Alternates, now_ms, line);
    }

    fn registered(&mut self, now_ms: i64, registration: &Registration, announced: Announced) {
        let peer = &registration.peer_id;
        if announced.comes_back {
            self.alternates(now_ms, peer, "registrations");
        }
        match announced.registered {
            Registered::New => {
                let profile = &registration.profile;
                self.log(
                    Kind::Registered,
                    now_ms,
                    format_args!(
                        "registered peer={peer} addresses={} stores={} network={:?} version={:?}",
                        profile.addresses.len(),
                        profile.stores.len(),
                        profile.network_id.as_deref().unwrap_or("-"),
                        profile.version.as_deref().unwrap_or("-"),
                    ),
                );
            }
            Registered::Updated => {
                self.log(Kind::Updated, now_ms, format_args!("updated peer={peer}"));
            }
            Registered::Unchanged => self.log(
                Kind::RegisteredAgain,
                now_ms,
                format_args!("registered again, unchanged peer={peer}"),
            ),
        }
    }

    fn registration_refused(&mut self, now_ms: i64, peer: &PeerId, error: RegistryError) {
        if error == RegistryError::RegistryFull {
            let line = format_args!("refused a new peer, the registry is full peer={peer}");
            self.log(Kind::RegistryFull, now_ms, line);
        }
    }

    fn turn_server(&mut self, now_ms: i64, request: &RegisterTurnServerRequest) {
        let RegisterTurnServerRequest { peer_id, offer } = request;
        self.log(
            Kind::TurnServer,
            now_ms,
            format_args!(
                "registered TURN server peer={peer_id} addresses={} port={} capacity={}",
                offer.addresses.len(),
                offer.port,
                offer.capacity,
            ),
        );
    }

    fn granted(&mut self, now_ms: i64, granted: &GrantedSession, is_renewed: bool) {
        let session = &granted.session;
        self.log(
            Kind::Granted,
            now_ms,
            format_args!(
                "granted TURN session peer={} server={} tier={} mbps={} secs={} \
                 renewed={is_renewed}",
                session.peer_id,
                session.server_id,
                session.tier,
                session.mbps,
                granted.duration_secs,
            ),
        );
    }

    fn bill(&mut self, now_ms: i64, bill: &SetSpendRequest) {
        self.log(
            Kind::Operator,
            now_ms,
            format_args!(
                "operator sent a bill spend_usd={:.2} as_of={}",
                bill.current_spend_usd,
                rfc3339(bill.as_of),
            ),
        );
    }

    fn forced_mode(&mut self, now_ms: i64, request: &SetModeRequest) {
        match request.forced {
            Some((mode, until_ms)) => self.log(
                Kind::Operator,
                now_ms,
                format_args!("operator forced mode={mode} until={}", rfc3339(until_ms)),
            ),
            None => self.log(
                Kind::Operator,
                now_ms,
                format_args!("operator ended the forced mode"),
            ),
        }
    }
}

fn heartbeat<T>(peer: &PeerId, decision: &Result<T, RegistryError>) {
    match decision {
        Ok(_) => debug!("heartbeat peer={peer}"),
        Err(RegistryError::UnknownPeer) => debug!("refused an unknown peer={peer}"),
        Err(error) => debug!("refused a peer={peer} error={error}"),
    }
}
