//! A request to be registered.

use super::profile::Profile;
use crate::protocol::PeerId;

/// A request to be registered that passed the address policy.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    /// The peer to register.
    pub peer_id: PeerId,
    /// What it announced; its `turn` holds the offer of this request only.
    pub profile: Profile,
    /// What the request said about `turnCapable`, if anything.
    pub turn_capable: Option<bool>,
}
