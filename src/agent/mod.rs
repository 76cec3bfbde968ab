//! The node's side. Empty in this version.
