//! Digests of what is stored for a peer.
//!
//! A digest is computed from the contents of a row alone, so it is the same after a restart and with
//! the next version. It is cryptographic, since an attacker could otherwise replace a registration by
//! another one with the same digest, and the peer would not notice. An absent member adds nothing, so
//! that a new member changes no digest of a peer that does not announce it.

use sha2::{Digest, Sha256};

use crate::protocol::TurnOffer;
use crate::server::model::Profile;

/// The digest of a profile without TURN.
pub(crate) fn profile_digest(profile: &Profile) -> u64 {
    let Profile {
        addresses,
        crypto_ipv6,
        stores,
        version,
        privacy_mode,
        capabilities,
        capability_list,
        bootstrap_capable,
        network_id,
        software_version,
        server_port,
        node_type,
        turn_capable: _,
        turn: _,
        authenticated,
    } = profile;
    let mut members = Members::default();
    // A number never changes its meaning.
    members.texts(1, addresses);
    members.text(2, crypto_ipv6.as_deref());
    members.texts(3, stores);
    members.text(4, version.as_deref());
    members.flag(5, *privacy_mode);
    members.text(6, capabilities.as_deref());
    members.text(7, capability_list.as_deref());
    members.flag(8, *bootstrap_capable);
    members.text(9, network_id.as_deref());
    members.text(10, software_version.as_deref());
    members.number(11, server_port.map(u64::from));
    members.number(12, node_type.map(u64::from));
    members.flag(13, *authenticated);
    members.digest()
}

/// The digest of all that is stored for a peer, from the digest of its profile.
pub(crate) fn registration_digest(
    profile_digest: u64,
    is_turn_capable: bool,
    turn: Option<&TurnOffer>,
) -> u64 {
    // Most peers do not relay, and their heartbeats need no computation.
    if !is_turn_capable && turn.is_none() {
        return profile_digest;
    }
    let mut members = Members::default();
    members.number(1, Some(profile_digest));
    members.flag(2, is_turn_capable);
    if let Some(TurnOffer {
        addresses,
        port,
        capacity,
    }) = turn
    {
        members.texts(3, addresses);
        members.number(4, Some(u64::from(*port)));
        members.number(5, Some(u64::from(*capacity)));
    }
    members.digest()
}

/// The members of a value, each with its number and its length, so that no two values give the same
/// bytes.
#[derive(Default)]
struct Members(Sha256);

impl Members {
    fn bytes(&mut self, number: u8, bytes: &[u8]) {
        self.0.update([number]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn text(&mut self, number: u8, text: Option<&str>) {
        if let Some(text) = text {
            self.bytes(number, text.as_bytes());
        }
    }

    fn texts(&mut self, number: u8, texts: &[String]) {
        for text in texts {
            self.bytes(number, text.as_bytes());
        }
    }

    fn flag(&mut self, number: u8, flag: bool) {
        if flag {
            self.bytes(number, &[]);
        }
    }

    fn number(&mut self, number: u8, value: Option<u64>) {
        if let Some(value) = value {
            self.bytes(number, &value.to_le_bytes());
        }
    }

    fn digest(self) -> u64 {
        let hash = self.0.finalize();
        hash.iter()
            .take(size_of::<u64>())
            .fold(0, |digest, byte| digest << 8 | u64::from(*byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Profile {
        let text = |text: &str| Some(text.to_owned());
        Profile {
            addresses: vec!["/ip6/fd00::1/tcp/1".to_owned(), "b".to_owned()],
            crypto_ipv6: text("fd00::1"),
            stores: vec!["s".to_owned()],
            version: text("1"),
            privacy_mode: true,
            capabilities: text("{}"),
            capability_list: text("[]"),
            bootstrap_capable: true,
            network_id: text("mainnet"),
            software_version: text("2"),
            server_port: Some(1),
            node_type: Some(0),
            turn_capable: true,
            turn: None,
            authenticated: false,
        }
    }

    #[test]
    fn a_digest_stays_the_same_in_every_version() {
        assert_eq!(
            format!("{:016x}", profile_digest(&full())),
            "ce45fc238716b93f"
        );
        let offer = TurnOffer {
            addresses: vec!["turn.example.org".to_owned()],
            port: 3478,
            capacity: 10,
        };
        let digest = registration_digest(1, true, Some(&offer));
        assert_eq!(format!("{digest:016x}"), "24b77d78057331af");
    }

    #[test]
    fn every_member_changes_the_digest() {
        let changes: [fn(&mut Profile); 16] = [
            |_| (),
            |it| it.addresses.reverse(),
            |it| it.addresses.truncate(1),
            |it| it.crypto_ipv6 = None,
            |it| it.stores.push("t".to_owned()),
            |it| it.version = Some("2".to_owned()),
            |it| it.privacy_mode = false,
            |it| it.capabilities = None,
            |it| it.capability_list = None,
            |it| it.bootstrap_capable = false,
            |it| it.network_id = None,
            |it| it.software_version = None,
            |it| it.server_port = Some(2),
            |it| it.node_type = None,
            |it| it.authenticated = true,
            // What moves from one member to its neighbour is another value.
            |it| it.addresses = vec!["/ip6/fd00::1/tcp/1b".to_owned()],
        ];
        let digests = changes.map(|change| {
            let mut profile = full();
            change(&mut profile);
            profile_digest(&profile)
        });
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "{index}");
        }
    }
}
