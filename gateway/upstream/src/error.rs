//! Why there is no response.

use super::{descriptors::lacks_descriptors, head, tls::TlsFault};
use callgate_coding::CodingError;
use callgate_config::ProxyServer;
use std::{fmt, io, time::Duration};

/// The time limit for connecting, within the call's own timeout.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    #[error("`{0}` is not the URL of an upstream")]
    BadUrl(String),
    #[error("cannot resolve `{host}`: {source}")]
    Resolve { host: String, source: io::Error },
    /// `all` has every address that was tried, with its error; `source` is the most useful one.
    #[error("cannot connect to {address}: {all}")]
    Connect { address: String, all: String, source: io::Error },
    /// `failed` has the addresses that failed before.
    #[error(
        "{phase} took longer than {} s{}{failed}",
        CONNECT_TIMEOUT.as_secs(),
        if failed.is_empty() { "" } else { "; " }
    )]
    ConnectTimeout { phase: ConnectPhase, failed: String },
    /// `proxy` is its host and port.
    #[error("the proxy {proxy} does not lead there: {fault}")]
    Proxy { proxy: String, fault: ProxyFault },
    #[error("no TLS connection to {host}: {reason}")]
    Tls { host: String, fault: TlsFault, reason: String },
    #[error("the exchange broke: {0}")]
    Broken(#[from] io::Error),
    /// The upstream closed an idle connection just as a call was sent on it.
    #[error("it closed an idle connection as the call was sent on it: {0}")]
    ClosedIdle(io::Error),
    /// The response has an unknown or broken compression.
    #[error("its answer has {0}")]
    Coding(#[from] CodingError),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
}

impl UpstreamError {
    /// The reason, if a valid HTTP/1.1 response is not accepted.
    pub fn not_taken(&self) -> Option<&str> {
        let Self::Broken(error) = self else { return None };
        error.get_ref()?.downcast_ref::<head::UnsupportedAnswer>().map(|it| &*it.0)
    }

    /// Whether the cause is that no file descriptor was free.
    pub fn lacks_descriptors(&self) -> bool {
        match self {
            Self::Resolve { source, .. } | Self::Connect { source, .. } => {
                lacks_descriptors(source)
            }
            Self::Proxy { fault: ProxyFault::Unreachable(error), .. } => error.lacks_descriptors(),
            _ => false,
        }
    }
}

/// Why a proxy does not lead to a server.
#[derive(Debug, thiserror::Error)]
pub enum ProxyFault {
    /// There is no connection to the proxy itself.
    #[error(transparent)]
    Unreachable(Box<UpstreamError>),
    #[error("it wants a user and a password")]
    NoCredentials,
    #[error("it refuses the user or the password")]
    WrongCredentials,
    /// The status of its response.
    #[error("it answered {0} to `CONNECT`")]
    Refused(u16),
    #[error("it closed the connection without an answer to `CONNECT`")]
    Closed,
    #[error("its answer to `CONNECT` opened no tunnel")]
    NoTunnel,
    #[error("the exchange with it broke: {0}")]
    Broken(io::Error),
}

impl ProxyFault {
    /// The proxy asks for credentials, or refuses those that it was sent.
    pub(super) fn credentials(proxy: &ProxyServer) -> Self {
        match proxy.authorization_line() {
            "" => Self::NoCredentials,
            _ => Self::WrongCredentials,
        }
    }
}

/// The step of connecting that took too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectPhase {
    /// Resolving the name and connecting to the address.
    Dial,
    /// The same for a proxy, by its host and port.
    DialProxy(String),
    /// The proxy's answer to `CONNECT`: it connects to the server meanwhile.
    Tunnel(String),
    /// The TLS handshake.
    Handshake,
}

impl fmt::Display for ConnectPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial => f.write_str("the connection"),
            Self::DialProxy(proxy) => write!(f, "the connection to the proxy {proxy}"),
            Self::Tunnel(proxy) => write!(f, "the answer of the proxy {proxy} to `CONNECT`"),
            Self::Handshake => f.write_str("the TLS handshake"),
        }
    }
}
