//! `peer-agent id`: shows the node's identity.

use anyhow::anyhow;
use clap::Args;
use serde_json::json;

use crate::failure::Failure;
use crate::node::{KeySettings, Node};
use crate::output;
use crate::settings::Faults;

/// Shows the node's identity, and makes it if there is none yet.
///
/// The key file is made with mode 0600. It is never replaced: a damaged file is an error.
#[derive(Args, Debug)]
pub(crate) struct IdSettings {
    #[command(flatten)]
    key: KeySettings,

    /// Print JSON: {"peerId": "...", "cryptoIPv6": "..."}
    #[arg(long)]
    json: bool,
}

pub(crate) fn show(settings: &IdSettings) -> Result<(), Failure> {
    let identity = match settings.key.require_or_make(Faults::default())? {
        Node::Keyed(identity) => identity,
        Node::Named(peer_id) => {
            return Err(Failure::usage(anyhow!(
                "the id {peer_id} does not contain its public key, so its crypto-IPv6 is not known: name the \
                 key file (--key-file)"
            )));
        }
    };
    let (peer_id, crypto_ipv6) = (identity.peer_id(), identity.crypto_ipv6_text());
    if settings.json {
        let json = json!({ "peerId": peer_id, "cryptoIPv6": crypto_ipv6 });
        return Ok(output::json(&json)?);
    }
    output::line(&format!("peer id      {peer_id}"))?;
    output::line(&format!("crypto-IPv6  {crypto_ipv6}"))?;
    output::line(&format!("key file     {}", settings.key.path().display()))?;
    Ok(())
}
