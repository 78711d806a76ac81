//! Opens a connection: dials an address, its own or a proxy's, then does the TLS handshake.

use super::{
    Connector, Origin,
    dial::{FailedDials, dial},
    error::{CONNECT_TIMEOUT, ConnectPhase, ProxyFault, UpstreamError},
    http1::UpstreamConnection,
    stream::Io,
    tls::{NoTls, Tls, TlsFault},
    tunnel,
};
use callgate_config::{HttpUrl, ProxyServer};
use rustls::pki_types::ServerName;
use std::io;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_rustls::TlsConnector;

pub(super) async fn connect(
    origin: &Origin,
    tls: &Tls,
) -> Result<UpstreamConnection, UpstreamError> {
    open(origin, tls).await.map(UpstreamConnection::new)
}

/// Opens a connection for requests that another client sends.
///
/// # Errors
/// If there is no connection within the limit for connecting.
pub async fn open_for(connector: &Connector, url: &HttpUrl) -> Result<Io, UpstreamError> {
    open(&Origin::to(connector, url), connector.tls()).await
}

/// Connects to `origin`. No request is sent before the server has proved its identity.
async fn open(origin: &Origin, tls: &Tls) -> Result<Io, UpstreamError> {
    let end = Instant::now() + CONNECT_TIMEOUT;
    let late = |phase, failed| move |_| UpstreamError::ConnectTimeout { phase, failed };
    let stream = match origin.proxy() {
        None => dialled((&origin.hostname, origin.port), end, ConnectPhase::Dial).await?,
        Some(proxy) => by_proxy(proxy, origin, end).await?,
    };
    if !origin.tls {
        return Ok(Io::Plain(stream));
    }
    let failed = |fault, reason| {
        let host = origin.hostname.clone();
        UpstreamError::Tls { host, fault, reason }
    };
    let config = tls.config().map_err(|none| match none {
        NoTls::Never(reason) => failed(TlsFault::NoRoots, reason),
        NoTls::Descriptors(source) => {
            let all = format!("the trusted certificates cannot be read: {source}");
            UpstreamError::Connect { address: origin.address(), all, source }
        }
    })?;
    let name = ServerName::try_from(origin.hostname.clone())
        .map_err(|_| failed(TlsFault::Other, "its name is not a host name".to_owned()))?;
    let stream = timeout_at(end, TlsConnector::from(config).connect(name, stream))
        .await
        .map_err(late(ConnectPhase::Handshake, String::new()))?
        .map_err(|error| failed(TlsFault::of(&error), error.to_string()))?;
    Ok(Io::Tls(Box::new(stream)))
}

/// The error of a first exchange. In TLS 1.3, a server refuses the client's certificate only then.
pub(super) fn told_by(origin: &Origin, error: io::Error) -> UpstreamError {
    match TlsFault::of_broken(&error) {
        Some(fault) => {
            let (host, reason) = (origin.hostname.clone(), error.to_string());
            UpstreamError::Tls { host, fault, reason }
        }
        None => error.into(),
    }
}

/// A TCP connection to a host and port.
async fn dialled(
    to: (&str, u16),
    end: Instant,
    phase: ConnectPhase,
) -> Result<TcpStream, UpstreamError> {
    let mut failed = FailedDials::default();
    let Ok(stream) = timeout_at(end, dial(to, &mut failed)).await else {
        return Err(UpstreamError::ConnectTimeout { phase, failed: failed.to_string() });
    };
    stream?.ok_or_else(|| {
        let (address, all) = (format!("{}:{}", to.0, to.1), failed.to_string());
        UpstreamError::Connect { address, all, source: failed.into_cause() }
    })
}

/// A connection to the proxy; for a server with TLS, through a tunnel. The proxy resolves the
/// server's name.
async fn by_proxy(
    proxy: &ProxyServer,
    origin: &Origin,
    end: Instant,
) -> Result<TcpStream, UpstreamError> {
    let address = || proxy.address().to_owned();
    let failed = |fault| UpstreamError::Proxy { proxy: address(), fault };
    let to = (proxy.hostname(), proxy.port());
    let mut stream = match dialled(to, end, ConnectPhase::DialProxy(address())).await {
        Err(late @ UpstreamError::ConnectTimeout { .. }) => return Err(late),
        other => other.map_err(|error| failed(ProxyFault::Unreachable(Box::new(error))))?,
    };
    if origin.tls {
        let authority = origin.authority();
        let opening = timeout_at(end, tunnel::open(&mut stream, proxy, &authority)).await;
        let Ok(opened) = opening else {
            let (phase, failed) = (ConnectPhase::Tunnel(address()), String::new());
            return Err(UpstreamError::ConnectTimeout { phase, failed });
        };
        opened.map_err(failed)?;
    }
    Ok(stream)
}
