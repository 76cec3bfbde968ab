//! Decides on a mutation: who may send it, and what it changes.

use super::planner::Planner;
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
}
