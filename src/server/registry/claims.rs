//! The ids that were proven, as in the table `claims`.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use super::directory::ShardedTable;
use crate::protocol::PeerId;
use crate::server::model::Claim;
use crate::server::policy::claim;

/// Memory of a claim, in bytes: the two entries, and the id that both share.
const CLAIM_BYTES: usize = 160;

/// The ids that were proven.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    by_id: ShardedTable<Claim>,
    /// In the order in which they end.
    by_age: BTreeSet<(i64, PeerId)>,
    hasher: RandomState,
}

impl Claims {
    pub(crate) fn of(rows: Vec<Claim>) -> Self {
        let mut claims = Self::default();
        for claim in rows {
            claims.put(claim);
        }
        claims
    }

    pub(crate) fn len(&self) -> usize {
        self.by_age.len()
    }

    /// Memory of all claims, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.len() * CLAIM_BYTES
    }

    /// When the id was last proven, in Unix milliseconds; `None` if its claim has ended or it was
    /// never proven.
    pub(crate) fn proven_at_ms(&self, peer_id: &PeerId, now_ms: i64) -> Option<i64> {
        // Most registries have no claims, and their heartbeats need no hash.
        if self.by_age.is_empty() {
            return None;
        }
        let claim = self.get(peer_id)?;
        claim::holds(claim.proven_at_ms, now_ms).then_some(claim.proven_at_ms)
    }

    /// Whether there is a claim of this id, which may have ended.
    pub(crate) fn contain(&self, peer_id: &PeerId) -> bool {
        self.get(peer_id).is_some()
    }

    fn get(&self, peer_id: &PeerId) -> Option<&Claim> {
        let hash = self.hasher.hash_one(peer_id);
        self.by_id.get(hash, |it| it.peer_id == *peer_id)
    }

    /// The claims, the oldest first.
    pub(crate) fn oldest(&self) -> impl Iterator<Item = (i64, &PeerId)> {
        self.by_age
            .iter()
            .map(|(proven_at_ms, peer_id)| (*proven_at_ms, peer_id))
    }

    /// Adds a claim, or replaces the earlier one of its id.
    pub(crate) fn put(&mut self, claim: Claim) {
        self.remove(&claim.peer_id);
        let hash = self.hasher.hash_one(&claim.peer_id);
        self.by_age
            .insert((claim.proven_at_ms, claim.peer_id.clone()));
        let hasher = &self.hasher;
        self.by_id
            .insert(hash, claim, |it| hasher.hash_one(&it.peer_id));
    }

    pub(crate) fn remove(&mut self, peer_id: &PeerId) {
        let hash = self.hasher.hash_one(peer_id);
        let hasher = &self.hasher;
        let removed = self.by_id.remove(
            hash,
            |it| it.peer_id == *peer_id,
            |it| hasher.hash_one(&it.peer_id),
        );
        if let Some(Claim {
            peer_id,
            proven_at_ms,
        }) = removed
        {
            self.by_age.remove(&(proven_at_ms, peer_id));
        }
    }

    /// The rows of the table.
    pub(crate) fn rows(&self) -> Vec<Claim> {
        let claim_of = |(proven_at_ms, peer_id): (i64, &PeerId)| Claim {
            peer_id: peer_id.clone(),
            proven_at_ms,
        };
        self.oldest().map(claim_of).collect()
    }
}
