//! Opens a connection: dials an address, then does the TLS handshake.

use super::{
    Origin,
    dial::{FailedDials, dial},
    error::{CONNECT_TIMEOUT, ConnectPhase, UpstreamError},
    http1::{Io, UpstreamConnection},
    tls::{NoTls, Tls, TlsFault},
};
use rustls::pki_types::ServerName;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

/// Connects to `origin`. The request is not sent before the server has proved its identity.
pub(super) async fn connect(
    origin: &Origin,
    tls: &Tls,
) -> Result<UpstreamConnection, UpstreamError> {
    let end = Instant::now() + CONNECT_TIMEOUT;
    let late = |phase, failed| move |_| UpstreamError::ConnectTimeout { phase, failed };
    let mut failed = FailedDials::default();
    let dialled = timeout_at(end, dial(origin, &mut failed)).await;
    let Some(stream) = dialled.map_err(late(ConnectPhase::Dial, failed.to_string()))?? else {
        let (address, all) = (origin.address(), failed.to_string());
        return Err(UpstreamError::Connect { address, all, source: failed.into_cause() });
    };
    if !origin.tls {
        return Ok(UpstreamConnection::new(Io::Plain(stream)));
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
    Ok(UpstreamConnection::new(Io::Tls(Box::new(stream))))
}
