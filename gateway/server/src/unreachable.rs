//! Failures for upstreams that gave no response. The client learns what happened, which provider
//! and model it concerns, and the remedy; addresses and the system's texts go to the log only,
//! except for the address of a proxy.

use super::{fault, upstream_request::Sent};
use callgate_failure::{Failure, Form};
use callgate_upstream::{CONNECT_TIMEOUT, ConnectPhase, ProxyFault, TlsFault, UpstreamError};
use std::{
    io::{self, ErrorKind},
    os::unix::net::UnixDatagram,
};

/// The failure for a request that got no response.
pub(super) fn unreachable(error: &UpstreamError, sent: &Sent) -> Failure {
    let deployment = sent.target.deployment();
    let who = format!("`{}` for model `{}`", deployment.label, sent.echo.model);
    let base = sent.target.api_base();
    let cause = |hint: &str| format!("{error}; asked at {base}{hint}");
    if lacks_descriptors(error) {
        return Failure::out_of_descriptors(&who).cause(cause(
            "; raise the limit of open files: `ulimit -n`, `LimitNOFILE=` of a systemd unit, or \
             `--ulimit nofile=` of a container",
        ));
    }
    let text = match error {
        UpstreamError::Coding(_) => return fault::broken(error, Form::Json),
        UpstreamError::Timeout(limit) => {
            let settings = match sent.first_content {
                Some(_) => "`first_content_timeout` in the config sets",
                None => "`timeout` and `stream_timeout` in the config set",
            };
            return Failure::no_answer_within(&who, *limit, settings).cause(cause(""));
        }
        UpstreamError::ConnectTimeout { phase, .. } => {
            let remedy = match phase {
                ConnectPhase::Dial | ConnectPhase::Handshake => {
                    "is its base URL right, and does it speak what its scheme says?"
                }
                ConnectPhase::DialProxy(_) => "is there a firewall in between?",
                ConnectPhase::Tunnel(_) => "can the proxy itself reach the upstream?",
            };
            let failure = Failure::no_connection_within(&who, phase, CONNECT_TIMEOUT, remedy);
            return failure.cause(cause(""));
        }
        UpstreamError::Proxy { proxy, fault } => {
            format!("cannot reach {who} through the proxy {proxy}: {}", by_proxy(fault))
        }
        error if let Some(what) = error.not_taken() => {
            format!("{who} answered with HTTP/1.1 that this gateway does not accept: {what}")
        }
        UpstreamError::Broken(error) if error.kind() == ErrorKind::InvalidData => format!(
            "{who} answered with something that is not HTTP/1.1; is its base URL right, with the \
             right scheme and port?"
        ),
        UpstreamError::ClosedIdle(_) => format!(
            "{who} closed an idle connection just as this call was sent on it; the gateway does \
             not repeat a call that may have been received, so send it again, or set \
             `callgate.upstream.idle_timeout` below the time after which it closes idle connections"
        ),
        UpstreamError::Broken(_) => format!(
            "{who} broke the connection before its answer was complete; its own log may say why"
        ),
        UpstreamError::Tls { fault, .. } => {
            format!("cannot reach {who}: no TLS connection: {}", tls(*fault))
        }
        UpstreamError::BadUrl(_) => format!("cannot reach {who}: its `api_base` is not a URL"),
        UpstreamError::Resolve { .. } => format!(
            "cannot reach {who}: its host name cannot be resolved; is its base URL right, and does \
             name resolution work where the gateway runs?"
        ),
        UpstreamError::Connect { source, .. } => {
            let hint = deployment.provider.dialect.unreachable_hint();
            format!("cannot reach {who}: {}", connecting(source, hint))
        }
    };
    Failure::unreachable(text).cause(cause(""))
}

/// The cause in a few words, for a server that is no deployment's.
pub(super) fn briefly(error: &UpstreamError) -> &'static str {
    match error {
        UpstreamError::Resolve { .. } => "its host name cannot be resolved",
        UpstreamError::Tls { fault, .. } => tls(*fault),
        UpstreamError::Connect { .. } | UpstreamError::ConnectTimeout { .. } => {
            "no connection could be made"
        }
        UpstreamError::Proxy { .. } => "the proxy lets no request pass",
        _ => "its answer broke off",
    }
}

fn lacks_descriptors(error: &UpstreamError) -> bool {
    // The resolver and the certificate loader hide why they could not open a file.
    let hidden = matches!(
        error,
        UpstreamError::Resolve { .. } | UpstreamError::Tls { fault: TlsFault::NoRoots, .. }
    );
    let none_left = |error: io::Error| {
        let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE]
            .map(rustix::io::Errno::raw_os_error);
        error.raw_os_error().is_some_and(|code| limits.contains(&code))
    };
    error.lacks_descriptors() || (hidden && UnixDatagram::unbound().is_err_and(none_left))
}

/// Why there is no connection, and the remedy.
fn connecting(error: &io::Error, hint: &str) -> String {
    let what = match error.kind() {
        ErrorKind::ConnectionRefused => return format!("the connection was refused; {hint}"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            "the connection was reset while it was made; is there a firewall or proxy in between?"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            "there is no route to it; is the network up where the gateway runs?"
        }
        ErrorKind::TimedOut => "the connection timed out; is there a firewall in between?",
        ErrorKind::PermissionDenied => {
            "this machine does not permit the connection; does a firewall rule or sandbox forbid it?"
        }
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
            "this machine has no free local port for the connection; try again later"
        }
        ErrorKind::NotFound => "its host name has no address",
        _ => return format!("no connection could be made; {hint}"),
    };
    what.to_owned()
}

/// Why a proxy does not lead to the upstream, and the remedy.
fn by_proxy(fault: &ProxyFault) -> String {
    match fault {
        ProxyFault::Unreachable(error) => match &**error {
            UpstreamError::Connect { source, .. } => {
                connecting(source, "is it running, and is its port right?")
            }
            _ => "its host name cannot be resolved where the gateway runs".to_owned(),
        },
        ProxyFault::NoCredentials => {
            format!("{fault} (407); write the proxy as `http://user:password@host:port`")
        }
        ProxyFault::WrongCredentials => {
            format!("{fault} (407); reserved characters in them have to be written as `%40`")
        }
        ProxyFault::Refused(403 | 405) => {
            format!("{fault}; does it permit connections to this host and port?")
        }
        ProxyFault::Refused(_) => format!("{fault}; can it reach the upstream itself?"),
        ProxyFault::Closed => fault.to_string(),
        ProxyFault::NoTunnel | ProxyFault::Broken(_) => {
            "its answer to `CONNECT` is not that of a proxy; are its host and port right?"
                .to_owned()
        }
    }
}

/// Why there is no TLS connection, and the remedy.
fn tls(fault: TlsFault) -> &'static str {
    match fault {
        TlsFault::NoRoots => {
            "this machine has no trusted certificates; install ca-certificates or set \
             `SSL_CERT_FILE` where the gateway runs"
        }
        TlsFault::UnknownIssuer => {
            "its certificate is by an authority that is not trusted here; write the file with the \
             authority's certificate in `ssl_verify` of the model, or add it to the file that \
             `SSL_CERT_FILE` names where the gateway runs"
        }
        TlsFault::WrongName => {
            "its certificate is for another host name; use a name in `api_base` that the \
             certificate has"
        }
        TlsFault::Expired => "its certificate has expired; it has to be renewed there",
        TlsFault::NotYetValid => {
            "its certificate is not valid yet; are the clocks right on both machines?"
        }
        TlsFault::NotTls => "it does not speak TLS there; should `api_base` begin with `http://`?",
        TlsFault::WantsCertificate => {
            "it wants a certificate of its client; write its file in `ssl_certificate` of the model"
        }
        TlsFault::RefusesCertificate => {
            "it refuses the certificate of its client, if it got one; is that in `ssl_certificate` \
             the right one for this server?"
        }
        TlsFault::Other => "the handshake failed; the gateway's log has the cause",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_true_cause_of_no_connection_is_named() {
        for (errno, expected) in [
            (rustix::io::Errno::CONNREFUSED, "was refused; HINT"),
            (rustix::io::Errno::CONNRESET, "was reset"),
            (rustix::io::Errno::HOSTUNREACH, "no route"),
            (rustix::io::Errno::NETUNREACH, "no route"),
            (rustix::io::Errno::TIMEDOUT, "timed out"),
            (rustix::io::Errno::ACCESS, "does not permit"),
            (rustix::io::Errno::ADDRNOTAVAIL, "no free local port"),
            (rustix::io::Errno::NOBUFS, "no connection could be made; HINT"),
        ] {
            let text = connecting(&io::Error::from(errno), "HINT");
            assert!(text.contains(expected), "{errno:?}: {text}");
        }
    }
}
