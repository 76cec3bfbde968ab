//! The names by which clients call the registry.
//!
//! A proof is bound to the name by which the client calls its server. Only names that the operator declared
//! are admitted: otherwise another server could pass on the requests of its clients with its own name in
//! `Host`, and use their proofs here.

use std::net::Ipv6Addr;

use thiserror::Error;

/// The ports that a client leaves out of the header `Host`, for https and http.
const DEFAULT_PORTS: [u16; 2] = [443, 80];

/// Why an entry is not the name of a host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a host: write example.com, example.com:8080, 198.51.100.7 or [2001:db8::7], with other names in punycode"
)]
pub struct PublicHostFault(pub String);

/// The declared names, with or without a port. A name without a port is admitted with any port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicHosts(Vec<Entry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Ipv6(Ipv6Addr),
    /// In lower case and without a final dot.
    Other(String),
}

impl PublicHosts {
    /// Reads a list of names.
    ///
    /// # Errors
    /// The first entry that is not a name.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, PublicHostFault> {
        let entries = entries.into_iter().map(|text| {
            let entry = Entry::parse(text.trim());
            entry.ok_or_else(|| PublicHostFault(text.to_owned()))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// The names of this machine for itself, with the port that the registry listens on.
    pub fn loopback(port: u16) -> Self {
        let names = [
            Name::Other("localhost".to_owned()),
            Name::Other("127.0.0.1".to_owned()),
            Name::Ipv6(Ipv6Addr::LOCALHOST),
        ];
        let entry = |name| Entry {
            name,
            port: Some(port),
        };
        Self(names.map(entry).into())
    }

    /// These names and those of `other`.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether `host` is one of the names, as a client sent it in the header `Host`.
    ///
    /// An entry with port 443 or 80 also admits a host without a port, since clients leave these ports out.
    pub fn admits(&self, host: &str) -> bool {
        let Some(host) = Entry::parse(host) else {
            return false;
        };
        self.0.iter().any(|entry| {
            let is_default = entry.port.is_some_and(|port| DEFAULT_PORTS.contains(&port));
            let is_left_out = host.port.is_none() && is_default;
            entry.name == host.name
                && (entry.port.is_none() || entry.port == host.port || is_left_out)
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, after) = rest.split_once(']')?;
                let port = match after {
                    "" => None,
                    after => Some(after.strip_prefix(':')?),
                };
                (Name::Ipv6(address.parse().ok()?), port)
            }
            None => match text.split_once(':') {
                Some((name, port)) => (Name::parse(name)?, Some(port)),
                None => (Name::parse(text)?, None),
            },
        };
        let port = port.map(parse_port);
        match port {
            Some(None) => None,
            port => Some(Self {
                name,
                port: port.flatten(),
            }),
        }
    }
}

impl Name {
    fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        (!name.is_empty() && name.bytes().all(is_name))
            .then(|| Self::Other(name.to_ascii_lowercase()))
    }
}

/// Not `u16::from_str` alone, which takes a sign.
fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| is_number);
    port.filter(|port| *port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(entries: &[&str]) -> PublicHosts {
        PublicHosts::parse(entries.iter().copied()).unwrap()
    }

    #[test]
    fn a_host_is_admitted_by_its_name_and_its_port() {
        for (entry, admitted, refused) in [
            (
                "example.com",
                &[
                    "example.com",
                    "EXAMPLE.com",
                    "example.com:8080",
                    "example.com.:1",
                ][..],
                &[
                    "www.example.com",
                    "example.org",
                    "example.comx",
                    "",
                    ":80",
                    "example.com:x",
                ][..],
            ),
            (
                "Example.com:8080",
                &["example.com:8080", "example.com:08080"],
                &[
                    "example.com",
                    "example.com:80",
                    "example.com:",
                    "example.com:8080:1",
                ],
            ),
            (
                "example.com:443",
                &["example.com", "example.com:443"],
                &["example.com:80", "example.com:+443"],
            ),
            (
                "[2001:db8::7]",
                &["[2001:db8::7]", "[2001:DB8:0::7]:8080"],
                &[
                    "2001:db8::7",
                    "[2001:db8::8]",
                    "[2001:db8::7",
                    "[2001:db8::7]8080",
                ],
            ),
            (
                "[::1]:8080",
                &["[::1]:8080", "[0:0:0:0:0:0:0:1]:8080"],
                &["[::1]", "[::1%lo]:8080", "localhost:8080", "127.0.0.1:8080"],
            ),
        ] {
            let hosts = hosts(&[entry]);
            for host in admitted {
                assert!(hosts.admits(host), "{entry} admits {host}");
            }
            for host in refused {
                assert!(!hosts.admits(host), "{entry} refuses {host}");
            }
        }
    }

    #[test]
    fn an_entry_that_is_no_host_is_named() {
        for entry in [
            "",
            "https://example.com",
            "example.com/path",
            "exämple.com",
            "::1",
            "[::1",
            "example.com:0",
            "example.com:65536",
            "example.com:https",
            "*",
            "a b",
        ] {
            let fault = PublicHosts::parse(["example.org", entry]).unwrap_err();
            assert_eq!(fault.0, entry);
        }
    }

    #[test]
    fn without_names_there_is_none_and_the_loopback_has_three() {
        assert!(!PublicHosts::default().admits("localhost"));
        let loopback = PublicHosts::loopback(8080);
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert!(loopback.admits(host), "{host}");
        }
        assert!(!loopback.admits("localhost:8081"));
        assert!(!loopback.admits("localhost"));
        assert!(!loopback.admits("example.com:8080"));
    }
}
