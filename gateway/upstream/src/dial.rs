//! Connects to a host name: every address is tried within the same time limit.
//!
//! The addresses are tried by RFC 8305 ("happy eyeballs"): both families in turn, the next one if
//! the last has failed or has been silent for [`STAGGER`]. The first one that connects is used.

use super::{descriptors::lacks_descriptors, error::UpstreamError};
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rustix::net::sockopt;
use std::{fmt, io, net::SocketAddr, time::Duration};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// The silence of an address after which the next one is tried in parallel.
const STAGGER: Duration = Duration::from_millis(250);

/// TCP keep-alive: an upstream that vanished without closing is noticed after a minute. It starts
/// after so long without a byte, and gives up after so many probes.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_PROBES: u32 = 3;

/// The addresses that failed, with their errors; logged whatever the outcome.
#[derive(Debug, Default)]
pub(super) struct FailedDials(Vec<(SocketAddr, io::Error)>);

impl FailedDials {
    /// The most useful error: one of this machine, otherwise that of the last address.
    pub(super) fn into_cause(mut self) -> io::Error {
        let ours = self.0.iter().position(|(_, error)| lacks_descriptors(error));
        let at = ours.or(self.0.len().checked_sub(1));
        match at {
            Some(at) => self.0.swap_remove(at).1,
            None => io::Error::new(io::ErrorKind::NotFound, "its name has no address"),
        }
    }
}

impl fmt::Display for FailedDials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{address}: {error}")?;
        }
        Ok(())
    }
}

/// Connects to one of the addresses of a host; the caller sets a time limit. Failures are added to
/// `failed` at once, so that a caller that gives up can report them.
pub(super) async fn dial(
    (host, port): (&str, u16),
    failed: &mut FailedDials,
) -> Result<Option<TcpStream>, UpstreamError> {
    let found = lookup_host((host, port)).await.map_err(|source| {
        let source = descriptor_shortage().unwrap_or(source);
        UpstreamError::Resolve { host: host.to_owned(), source }
    })?;
    Ok(first(in_turn(found), connect, failed).await)
}

/// The system's resolver reports a lack of descriptors as a temporary failure to resolve the name.
fn descriptor_shortage() -> Option<io::Error> {
    TcpSocket::new_v4().err().filter(lacks_descriptors)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Without it, a chunk that waits for an acknowledgement would delay a stream by 40 ms.
    stream.set_nodelay(true)?;
    sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEP_ALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, KEEP_ALIVE_PROBES)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    Ok(stream)
}

/// Both families alternately, first the one the resolver prefers; each in the resolver's order.
fn in_turn(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let found: Vec<_> = found.collect();
    let Some(preferred) = found.first().map(SocketAddr::is_ipv6) else { return found };
    let family =
        |wanted: bool| found.iter().filter(move |it| (it.is_ipv6() == preferred) == wanted);
    let (mut preferred, mut other) = (family(true), family(false));
    let mut addresses = Vec::with_capacity(found.len());
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            return addresses;
        }
        addresses.extend(pair.into_iter().flatten());
    }
}

/// The first of `addresses` that `connect` reaches; other attempts are dropped.
async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
    failed: &mut FailedDials,
) -> Option<T> {
    let attempt = |address| {
        let connecting = connect(address);
        async move { (address, connecting.await) }
    };
    let mut waiting = addresses.into_iter();
    let mut running = FuturesUnordered::new();
    while let Some(address) = waiting.next() {
        running.push(attempt(address));
        let ended = if waiting.len() == 0 {
            running.next().await
        } else {
            tokio::time::timeout(STAGGER, running.next()).await.unwrap_or(None)
        };
        // After a failure the next address is tried at once.
        match ended {
            Some((_, Ok(connected))) => return Some(connected),
            Some((address, Err(error))) => failed.0.push((address, error)),
            None => {}
        }
    }
    while let Some((address, ended)) = running.next().await {
        match ended {
            Ok(connected) => return Some(connected),
            Err(error) => failed.0.push((address, error)),
        }
    }
    None
}

#[cfg(test)]
mod tests;
