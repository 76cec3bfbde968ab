//! Finds peers to connect to.
//!
//! `finder` asks all registries and merges what they list. `fallback` is the loop that does so
//! whenever the node has too few `connections`, and hurries when the `network` changes. `last_known_good` keeps the last list that names a
//! peer, and `refresh` is the loop that keeps its file up to date.

mod connections;
mod fallback;
mod finder;
mod last_known_good;
mod network;
mod refresh;

pub use connections::Connected;
pub(crate) use connections::Connections;
pub(crate) use fallback::{Fallback, FallbackSettings};
pub(crate) use finder::PeerFinder;
pub(crate) use last_known_good::LastKnownGood;
pub(crate) use refresh::Refresh;
