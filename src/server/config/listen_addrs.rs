//! The addresses to listen on.

use std::net::{Ipv6Addr, SocketAddr};
use std::str::FromStr;

use super::declaration::Text;
use super::reader::Reader;

const LISTEN_ADDR: Text = Text {
    name: "LISTEN_ADDR",
    placeholder: "ADDR:PORT",
    default: Some("127.0.0.1:3000"),
    form: "an IP address and a port, e.g. 127.0.0.1:3000 or [::]:3000, or several, comma-separated",
    meaning: "Addresses and ports to listen on, comma-separated",
};

const PORT: Text = Text {
    name: "PORT",
    placeholder: "PORT",
    default: None,
    form: "a port from 0 to 65535",
    meaning: "Port to listen on on all addresses, unless LISTEN_ADDR is given",
};

/// One address or more, without duplicates.
struct ListenAddrs(Vec<SocketAddr>);

impl FromStr for ListenAddrs {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut addrs = Vec::new();
        for part in text.split(',') {
            let addr: SocketAddr = part.trim().parse()?;
            // With port 0 the system chooses another port each time.
            if addr.port() == 0 || !addrs.contains(&addr) {
                addrs.push(addr);
            }
        }
        Ok(Self(addrs))
    }
}

/// The addresses in `LISTEN_ADDR`, or all addresses of the machine if only `PORT` is given; empty if
/// the setting is wrong.
pub(crate) fn read(settings: &mut Reader<'_>) -> Vec<SocketAddr> {
    let is_given = settings.is_given(&LISTEN_ADDR);
    let listen_addrs = settings.parse(&LISTEN_ADDR);
    // Many environments set a PORT that is meant for something else, so it is not even checked then.
    let port = match is_given {
        true => settings.declare(&PORT),
        false => settings.parse_optional(&PORT),
    };
    match port {
        Some(port) => vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))],
        None => listen_addrs.map_or_else(Vec::new, |ListenAddrs(addrs)| addrs),
    }
}
