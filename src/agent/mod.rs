//! The node's side: keeps a node registered. Not built yet; see the roadmap in the README.
