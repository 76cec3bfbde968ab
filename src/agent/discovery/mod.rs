//! Finds peers to connect to.
//!
//! `finder` asks all registries and merges what they list. `fallback` is the loop that does so
//! while the node has too few connections. `last_known_good` keeps the last list that names a
//! peer, and `refresh` is the loop that keeps its file up to date.

mod fallback;
mod finder;
mod last_known_good;
mod refresh;

pub(crate) use fallback::{Fallback, FallbackSettings, PeerCount};
pub(crate) use finder::PeerFinder;
pub(crate) use last_known_good::LastKnownGood;
pub(crate) use refresh::Refresh;
