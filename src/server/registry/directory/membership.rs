//! Identifies states of the directory, so that a reader can check whether its listing is still
//! valid.

/// Identifies a state of the membership, which changes when a peer joins, leaves or changes its
/// profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Membership {
    /// Differs for each directory, that is for each start of the registry.
    pub directory: u64,
    /// The number of changes.
    pub revision: u64,
    /// Determines at which peer the first page of a listing begins; 0 for other listings.
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

    /// Identifies a page that is shorter than usual.
    pub(crate) fn of_short_page(self) -> Self {
        Self {
            draw: !self.draw,
            ..self
        }
    }

    pub(crate) fn change(&mut self) {
        self.revision += 1;
    }
}
