//! The rules for `Host` (RFC 9112, section 3.2). If a proxy and the gateway read different hosts
//! from one request, an attacker can exploit the difference.

use super::{error, error::ErrorForm};
use axum::response::Response;
use callgate_failure::Failure;
use http::{HeaderMap, HeaderValue, Version, header};

/// Checks that there is exactly one `Host` and that it names a host. HTTP/1.0 may omit it.
pub(super) fn check(version: Version, headers: &HeaderMap) -> Result<(), Failure> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        if version <= Version::HTTP_10 {
            return Ok(());
        }
        return Err(Failure::no_host());
    };
    if hosts.next().is_some() {
        return Err(Failure::several_hosts());
    }
    if is_host(host.as_bytes()) {
        return Ok(());
    }
    Err(Failure::malformed_host())
}

/// The response to a request whose `Host` breaks the rules. The connection closes, because its
/// further bytes cannot be trusted.
pub(super) fn refused(client: Option<&str>, failure: &Failure, form: ErrorForm) -> Response {
    super::refusal_log::log_refusal(client, failure.status, &failure.message);
    let mut response = error::response(failure, form);
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// `uri-host [":" port]`, without a comma: many readers would see a list.
pub(super) fn is_host(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let address = &rest[..end];
            if address.is_empty() || !address.iter().all(|byte| in_literal(*byte)) {
                return false;
            }
            (&b""[..], &rest[end + 1..])
        }
        _ => value.split_at(memchr::memchr(b':', value).unwrap_or(value.len())),
    };
    let port = match port {
        [] => port,
        [b':', port @ ..] => port,
        _ => return false,
    };
    host.iter().all(|byte| in_name(*byte)) && port.iter().all(u8::is_ascii_digit)
}

fn in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=".contains(&byte)
}

fn in_literal(byte: u8) -> bool {
    in_name(byte) || byte == b':'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_with_a_port_at_most() {
        for host in [
            "gateway",
            "Gateway.example:4000",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:4000",
            "my_service:80",
            "a:",
            "",
            "xn--bcher-kva.example",
            "a%20b",
            "[fe80::1%25eth0]",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "a/b", "http://a", "u@a", "u:p@a", "a,b", "a, b", "a b", "a:80:81", "a:x", "[::1",
            "[]", "::1", "[::1]x", "a?b", "a#b", "a\\b", "a\"", "<a>", "\u{fc}", "a\tb", ":80,",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn there_is_one_host_but_for_old_clients() {
        let headers = |hosts: &[&'static str]| {
            let hosts = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
            hosts.fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            })
        };
        for (version, hosts, right) in [
            (Version::HTTP_11, &["a"][..], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["a", "a"], false),
            (Version::HTTP_11, &["a", "b"], false),
            (Version::HTTP_11, &["a/b"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &["a"], true),
            (Version::HTTP_10, &["a", "b"], false),
            (Version::HTTP_10, &["u@a"], false),
        ] {
            assert_eq!(check(version, &headers(hosts)).is_ok(), right, "{version:?} {hosts:?}");
        }
    }
}
