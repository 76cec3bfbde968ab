//! Decides on TURN offers.

use super::pending_row::RowChange;
use super::planner::Planner;
use crate::protocol::{RegisterTurnServerRequest, TurnOffer};
use crate::server::registry::directory::{
    History, profile_digest, registration_digest, turn_bytes,
};
use crate::server::registry::error::RegistryError;
use crate::server::registry::mutation::Offered;

impl Planner<'_> {
    /// Replaces the TURN offer of a peer that is registered or was inserted by this batch.
    pub(crate) fn offer_turn(
        &mut self,
        request: &RegisterTurnServerRequest,
    ) -> Result<Offered, RegistryError> {
        let RegisterTurnServerRequest { peer_id, offer } = request;
        let context = self.context;
        let new_bytes = turn_bytes(offer) + History::BYTES;
        let before = self.directory.get(peer_id.as_str());
        let old_bytes = before.map_or(0, |peer| {
            peer.turn().map_or(0, turn_bytes) + peer.history().bytes()
        });
        if before.is_some() && !self.has_memory(new_bytes, old_bytes) {
            return Err(RegistryError::RegistryFull);
        }
        // The peer is replaced: it leaves each of its sets and enters each again.
        self.weight += before.map_or(0, |peer| 2 * peer.weight());
        let row = self.row(peer_id).ok_or(RegistryError::UnknownPeer)?;
        // Compared with the offer alone: the registrations between two offers may say something else
        // about relaying, and often do.
        let digest_of = |offer: &TurnOffer| registration_digest(0, true, Some(offer));
        let comes_back = row.turn.as_ref().is_some_and(|earlier| {
            let (earlier, new) = (digest_of(earlier), digest_of(offer));
            let (now_ms, lease_ms) = (context.now_ms, context.lease_ms);
            row.history.replace(earlier, new, now_ms, lease_ms)
        });
        row.turn = Some(offer.clone());
        match &mut row.change {
            RowChange::Profile(profile) => {
                profile.turn = Some(offer.clone());
                profile.turn_capable = true;
            }
            change => *change = RowChange::TurnOffer,
        }
        let profile = match (&row.change, before) {
            (RowChange::Profile(profile), _) => profile_digest(profile),
            (_, before) => before.map_or(0, |peer| peer.digest()),
        };
        row.digest = registration_digest(profile, true, row.turn.as_ref());
        Ok(Offered {
            comes_back,
            noted: row.noted(&context),
        })
    }
}
