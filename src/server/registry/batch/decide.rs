//! Decides on a mutation: who may send it, and what it changes.

use super::planner::Planner;
use crate::protocol::PeerId;
use crate::server::model::Proof;
use crate::server::registry::error::RegistryError;
use crate::server::registry::mutation::Mutation;

impl Planner<'_> {
    /// Whether the mutation must wait for the next batch, because its peer unregisters in this one.
    pub(crate) fn must_wait(&self, mutation: &Mutation) -> bool {
        mutation
            .peer_id()
            .is_some_and(|peer_id| self.unregistered.contains_key(peer_id))
    }

    pub(crate) fn decide(&mut self, mutation: &mut Mutation) {
        match mutation {
            Mutation::Register(it) => {
                let request = &it.request;
                let decide = |planner: &mut Self| planner.register(request);
                it.decide(self.of_sender(&request.peer_id, it.proof, decide));
            }
            Mutation::Renew(it) => {
                let peer_id = &it.request.peer_id;
                let decide = |planner: &mut Self| planner.renew(peer_id);
                it.decide(self.of_sender(peer_id, it.proof, decide));
            }
            Mutation::OfferTurn(it) => {
                let request = &it.request;
                let decide = |planner: &mut Self| planner.offer_turn(request);
                it.decide(self.of_sender(&request.peer_id, it.proof, decide));
            }
            Mutation::Allocate(it) => {
                let request = &it.request;
                let decide = |planner: &mut Self| planner.allocate(request);
                it.decide(self.of_sender(&request.peer_id, it.proof, decide));
            }
            Mutation::Release(it) => {
                let request = &it.request;
                let decide = |planner: &mut Self| planner.release(request);
                it.decide(self.of_sender(&request.peer_id, it.proof, decide));
            }
            Mutation::Report(it) => {
                let request = &it.request;
                let decide = |planner: &mut Self| Ok(planner.report(request));
                it.decide(self.of_sender(&request.peer_id, it.proof, decide));
            }
            Mutation::Unregister(it) => {
                let peer_id = &it.request.peer_id;
                let decide = |planner: &mut Self| planner.unregister(peer_id);
                it.decide(self.of_sender(peer_id, it.proof, decide));
            }
            Mutation::SetTier(it) => {
                self.relay.set_tier(&it.request.peer_id, it.request.tier);
                it.decide(Ok(()));
            }
            Mutation::SetSpend(it) => {
                let bill = &it.request;
                self.relay.set_spend(bill.current_spend_usd, bill.as_of);
                it.decide(Ok(()));
            }
            Mutation::SetMode(it) => {
                self.relay.set_mode(it.request.forced);
                it.decide(Ok(()));
            }
        }
    }

    /// Decides on a mutation that `peer_id` has sent: refuses it if the id was proven before and is
    /// not proven now. If it is accepted, a proof claims the id of a registered peer.
    fn of_sender<T>(
        &mut self,
        peer_id: &PeerId,
        proof: Proof,
        decide: impl FnOnce(&mut Self) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let must_prove = self.context.checks_claims && proof == Proof::Unproven;
        if must_prove && self.claims.is_claimed(peer_id) {
            return Err(RegistryError::AuthenticationRequired);
        }
        let decision = decide(self)?;
        if proof == Proof::Proven && self.is_registered(peer_id) {
            self.claims.claim(peer_id);
        }
        Ok(decision)
    }

    /// Whether the peer is registered, or was inserted by this batch.
    fn is_registered(&self, peer_id: &PeerId) -> bool {
        self.rows.contains_key(peer_id) || self.directory.get(peer_id.as_str()).is_some()
    }
}
