//! Opens the sockets that the server listens on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::{io, vec};

use log::warn;
use rustix::io::Errno;
use rustix::net::sockopt::set_ipv6_v6only;
use tokio::net::TcpSocket;

use super::error::StartError;

/// The maximum number of connections that wait to be accepted while all workers are busy.
const BACKLOG: u32 = 1024;

/// Open sockets that listen; at least one.
#[derive(Debug)]
pub(crate) struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Listens on all `addrs`.
    pub(crate) fn open(addrs: &[SocketAddr]) -> Result<Self, StartError> {
        let listeners = addrs.iter().map(|addr| {
            let listener = match listen(*addr, addrs) {
                Err(error) if lacks_ipv6(&error) && is_wildcard_v6(addr) => {
                    let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, addr.port()));
                    warn!("this machine has no IPv6: listening on {v4} instead of {addr}");
                    listen(v4, addrs)
                }
                listener => listener,
            };
            let addr = *addr;
            listener.map_err(|source| StartError::Listen { addr, source })
        });
        listeners.collect::<Result<_, _>>().map(Self)
    }

    /// Other handles on the same sockets.
    pub(crate) fn share(&self) -> io::Result<Self> {
        let handles = self.0.iter().map(TcpListener::try_clone);
        handles.collect::<Result<_, _>>().map(Self)
    }

    /// The addresses of the sockets. If a setting had port 0, they have the port that the system chose.
    pub(crate) fn addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.0.iter().map(TcpListener::local_addr).collect()
    }
}

impl IntoIterator for Listeners {
    type Item = TcpListener;
    type IntoIter = vec::IntoIter<TcpListener>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

fn listen(addr: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    if is_wildcard_v6(&addr) {
        // Takes IPv4 as well, whatever the system's default, unless IPv4 has a socket of its own.
        let is_own = |other: &SocketAddr| other.is_ipv4() && other.port() == addr.port();
        set_ipv6_v6only(&socket, addr.port() != 0 && all.iter().any(is_own))?;
    }
    // Lets a restart take the port while old connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(BACKLOG)?.into_std()
}

fn is_wildcard_v6(addr: &SocketAddr) -> bool {
    addr.is_ipv6() && addr.ip().is_unspecified()
}

/// Whether the kernel has no IPv6, or it is turned off.
fn lacks_ipv6(error: &io::Error) -> bool {
    let number = Errno::from_io_error(error);
    number == Some(Errno::AFNOSUPPORT) || number == Some(Errno::ADDRNOTAVAIL)
}
