//! Names states of the directory, so that a reader learns whether its listing is still right.

/// Names a state of the membership: it changes when a peer joins, leaves or changes its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    /// Tells this directory's states from those of any other.
    pub directory: u64,
    /// Counts the changes.
    pub revision: u64,
    /// Tells listings of the same state apart that begin at different peers.
    pub draw: u64,
}

impl Membership {
    pub(crate) fn random() -> Self {
        Self {
            directory: rand::random(),
            revision: 0,
            draw: 0,
        }
    }

    pub(crate) fn change(&mut self) {
        self.revision += 1;
    }
}
