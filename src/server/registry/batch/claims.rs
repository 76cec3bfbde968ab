//! Decides who may write in the name of a peer id, and which ids a batch claims.

use std::collections::BTreeMap;

use crate::protocol::PeerId;
use crate::server::model::Claim;
use crate::server::policy::claim;
use crate::server::registry::claims::Claims;

/// The maximum number of claims that one batch forgets.
const MAX_FORGOTTEN: usize = 64;

/// The claims of a batch.
pub(crate) struct ClaimPlanner<'c> {
    claims: &'c Claims,
    now_ms: i64,
    max: usize,
    /// Ids that this batch claims, or proves again.
    proven: BTreeMap<PeerId, i64>,
}

/// What a batch changes in the claims.
pub(crate) struct ClaimChanges {
    pub(crate) proven: Vec<Claim>,
    pub(crate) forgotten: Vec<PeerId>,
}

impl<'c> ClaimPlanner<'c> {
    /// `max` is the maximum number of claims.
    pub(crate) fn new(claims: &'c Claims, now_ms: i64, max: usize) -> Self {
        Self {
            claims,
            now_ms,
            max,
            proven: BTreeMap::new(),
        }
    }

    /// Whether the id was proven, before this batch or by an earlier mutation of it.
    pub(crate) fn is_claimed(&self, peer_id: &PeerId) -> bool {
        self.claims.proven_at_ms(peer_id, self.now_ms).is_some()
            || self.proven.contains_key(peer_id)
    }

    /// Claims the id, or proves it again.
    pub(crate) fn claim(&mut self, peer_id: &PeerId) {
        let before_ms = self.claims.proven_at_ms(peer_id, self.now_ms);
        if before_ms.is_none_or(|before_ms| claim::needs_refresh(before_ms, self.now_ms)) {
            self.proven.insert(peer_id.clone(), self.now_ms);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.proven.is_empty()
    }

    /// Returns the changes. Forgets some of the claims that have ended and, if there are too many, some
    /// of the oldest ones. A claim of a registered peer is forgotten only if it has ended: such a peer
    /// proves its id every day, so its claim is among the new ones.
    pub(crate) fn finish(self, is_registered: impl Fn(&PeerId) -> bool) -> ClaimChanges {
        let proven = self.proven;
        let is_new = |peer_id: &&PeerId| !self.claims.contain(peer_id);
        let count = self.claims.len() + proven.keys().filter(is_new).count();
        let mut forgotten = Vec::new();
        for (proven_at_ms, peer_id) in self.claims.oldest().take(MAX_FORGOTTEN) {
            let has_ended = !claim::holds(proven_at_ms, self.now_ms);
            let is_surplus = count - forgotten.len() > self.max;
            if !has_ended && !is_surplus {
                break;
            }
            let is_kept = !has_ended && is_registered(peer_id);
            if !is_kept && !proven.contains_key(peer_id) {
                forgotten.push(peer_id.clone());
            }
        }
        let claim_of = |(peer_id, proven_at_ms)| Claim {
            peer_id,
            proven_at_ms,
        };
        ClaimChanges {
            proven: proven.into_iter().map(claim_of).collect(),
            forgotten,
        }
    }
}
