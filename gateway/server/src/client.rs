//! The client's address for the log: the socket's peer, or the client that a trusted proxy names.

use http::{HeaderMap, HeaderName, header::FORWARDED};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The peer's address and its text; one for each connection.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientAddress(Option<(IpAddr, Arc<str>)>);

impl ClientAddress {
    /// `None` if the system does not report the peer.
    pub(super) fn new(peer: Option<SocketAddr>) -> Self {
        let address = peer.map(|peer| peer.ip().to_canonical());
        Self(address.map(|address| (address, Arc::from(address.to_string()))))
    }

    /// The address of the socket's peer, even if it is a proxy.
    pub(super) fn peer(&self) -> Option<&str> {
        self.0.as_ref().map(|(_, text)| &**text)
    }

    /// The address of the client that sent these headers: the last one in the list that is not a
    /// proxy in `trusted`. A client can make up the entries before it.
    pub(super) fn of_request(&self, trusted: &[IpNet], headers: &HeaderMap) -> Option<Arc<str>> {
        let (peer, text) = self.0.as_ref()?;
        if !is_trusted(*peer, trusted) {
            return Some(Arc::clone(text));
        }
        let named = if headers.contains_key(X_FORWARDED_FOR) {
            last_untrusted(hops(headers, X_FORWARDED_FOR), trusted, address)
        } else {
            last_untrusted(hops(headers, FORWARDED), trusted, forwarded_for)
        };
        Some(named.map_or_else(|| Arc::clone(text), |named| Arc::from(named.to_string())))
    }
}

fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&address))
}

/// The entries of a list header, last one first. An entry that is not text ends them.
fn hops(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).iter().collect::<Vec<_>>().into_iter().rev();
    values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','))
}

/// The first address that is not trusted, or the last trusted one before an entry that is not an
/// address.
fn last_untrusted<'a>(
    hops: impl Iterator<Item = &'a str>,
    trusted: &[IpNet],
    read: fn(&str) -> Option<IpAddr>,
) -> Option<IpAddr> {
    let mut nearest = None;
    for hop in hops {
        let Some(address) = read(hop.trim()) else { break };
        nearest = Some(address);
        if !is_trusted(address, trusted) {
            break;
        }
    }
    nearest
}

/// `1.2.3.4`, `1.2.3.4:5`, `::1`, `[::1]` or `[::1]:5`.
fn address(text: &str) -> Option<IpAddr> {
    let alone = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = alone.parse().or_else(|_| text.parse().map(|it: SocketAddr| it.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// The `for` of an element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let named = element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim())
    });
    address(named?.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.7:443";

    fn seen(peer: &str, sent: &[(&'static str, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap());
        let mut headers = HeaderMap::new();
        for (name, value) in sent {
            headers.append(*name, value.parse().unwrap());
        }
        let client = ClientAddress::new(Some(peer.parse().unwrap()));
        client.of_request(&trusted, &headers).unwrap().to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (peer, sent, expected) in [
            (PROXY, "", "10.0.0.7"),
            ("192.0.2.1:9", "203.0.113.5", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:9", "203.0.113.5", "192.0.2.1"),
            (PROXY, "203.0.113.5", "203.0.113.5"),
            (PROXY, "6.6.6.6, 203.0.113.5", "203.0.113.5"),
            (PROXY, "6.6.6.6, 203.0.113.5, 10.1.1.1", "203.0.113.5"),
            (PROXY, "10.2.2.2,10.1.1.1", "10.2.2.2"),
            (PROXY, "6.6.6.6, nonsense, 10.1.1.1", "10.1.1.1"),
            (PROXY, "nonsense", "10.0.0.7"),
            (PROXY, "203.0.113.5:1234", "203.0.113.5"),
            ("[fd00::1]:9", "[2001:db8::5]:1234", "2001:db8::5"),
            (PROXY, "::ffff:203.0.113.5", "203.0.113.5"),
        ] {
            let sent: &[_] = if sent.is_empty() { &[] } else { &[("x-forwarded-for", sent)] };
            assert_eq!(seen(peer, sent), expected, "{peer} {sent:?}");
        }
    }

    #[test]
    fn several_headers_are_one_list_and_forwarded_is_the_second_choice() {
        let name = "x-forwarded-for";
        assert_eq!(seen(PROXY, &[(name, "6.6.6.6"), (name, "203.0.113.5")]), "203.0.113.5");
        let forwarded = "for=6.6.6.6, For=\"[2001:db8::5]:80\";proto=https;by=10.0.0.7";
        assert_eq!(seen(PROXY, &[("forwarded", forwarded)]), "2001:db8::5");
        assert_eq!(seen(PROXY, &[("forwarded", "for=unknown")]), "10.0.0.7");
        let both = [("forwarded", "for=6.6.6.6"), (name, "203.0.113.5")];
        assert_eq!(seen(PROXY, &both), "203.0.113.5");
    }
}
