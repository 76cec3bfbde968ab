//! What a batch is planned with, besides the state.

/// What a batch is planned with, besides the state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchContext {
    pub now_ms: i64,
    pub cutoff_ms: i64,
    pub max_peers: usize,
    /// Memory that all peers and sessions may take, in bytes.
    pub max_bytes: usize,
    /// Whether the process takes more memory than all that is counted accounts for.
    pub is_swollen: bool,
    /// Whether the directory equals the table everywhere, which a cleanup rests on.
    pub cleans_up: bool,
}
