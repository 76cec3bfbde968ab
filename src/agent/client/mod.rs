//! One registry, asked by one node: requests, responses and what can go wrong.
//!
//! [`RegistryClient`] has a method for each endpoint, in `endpoints` and `sessions`. `transport`
//! sends requests, `response` decides what a response means, and `sanitize` makes text that a
//! registry sent fit to be shown. `refusal_code` is the code that it
//! sent. `explained`, `tls_fault` and `proxies` say what the errors of the libraries mean, and
//! `stranger` what a response means that no registry sends. `proving` adds the proofs of the node's key,
//! and `prover` is what a client remembers of them.

mod endpoints;
mod error;
pub(crate) mod explained;
mod prover;
mod proving;
mod proxies;
mod refusal_code;
mod registry_client;
mod response;
mod retry_after;
pub(crate) mod sanitize;
mod sessions;
mod stranger;
mod tls_fault;
mod transport;

pub use error::{ClientError, SetupError};
pub use prover::ProofNotice;
pub use refusal_code::RefusalCode;
pub use registry_client::RegistryClient;
pub use retry_after::MAX_RETRY_AFTER;
pub use tls_fault::TlsFault;
pub use transport::Transport;
