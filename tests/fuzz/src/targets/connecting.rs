//! What says how upstreams are reached: certificates in PEM, proxies, and what they except.

use super::bounds::in_proportion;
use callgate_config::{Environment, HttpUrl, Proxies, ProxyServer};
use callgate_upstream::fuzzing::certificates;

pub(super) const CERTIFICATE_TOKENS: &[&[u8]] = &[
    b"-----BEGIN CERTIFICATE-----\n",
    b"-----END CERTIFICATE-----\n",
    b"-----BEGIN PRIVATE KEY-----\n",
    b"-----END PRIVATE KEY-----\n",
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    b"\x30\x82",
    b"\x30\x84\xff\xff\xff\xff",
    b"\xa0\x03\x02\x01\x02",
    b"\x17\x0d240229235959Z",
    b"\x18\x0f20500101000000Z",
    b"\x17\x0d000000000000Z",
    b"MIIB",
    b"=",
    b"\n",
];

pub(super) const PROXY_TOKENS: &[&[u8]] = &[
    b"http://",
    b"https://",
    b"socks5://",
    b"user:pass@",
    b"@",
    b":",
    b"%40",
    b"%",
    b"[::1]",
    b":3128",
    b"\n",
    b",",
    b"*",
    b".",
    b"10.0.0.0/8",
    b"fd00::/8",
    b"example.com",
    b"/",
    b"?",
    b"#",
];

/// Bytes as a file of the operator's, and as the certificate inside one.
pub(super) fn pem(input: &[u8]) {
    in_proportion(input.len(), 64, || certificates(input));
}

/// The first line is a proxy, the rest what it does not lead to.
pub(super) fn proxy(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (proxy, except) = text.split_once('\n').unwrap_or((text, ""));
    let environment = Environment::from_pairs([("all_proxy", proxy), ("no_proxy", except)]);
    let (proxies, unusable) = Proxies::from_environment(&environment);
    let read = ProxyServer::parse(proxy);
    assert_eq!(read.is_err(), !unusable.is_empty() || proxy.trim().is_empty(), "{proxy}");
    let Ok(read) = read else { return };
    let line = read.authorization_line();
    let breaks = line.matches(['\r', '\n']).count();
    assert!(line.is_empty() || (line.ends_with("\r\n") && breaks == 2), "{line:?}");
    let urls = ["http://example.com/v1", "https://10.1.2.3:8443", "http://[fd00::1]:1/"];
    for url in urls.into_iter().filter_map(|url| HttpUrl::parse(url).ok()) {
        let expected = (!proxies.exempts(&url)).then(|| read.address());
        assert_eq!(proxies.proxy_for(&url).map(|it| it.address()), expected);
    }
    let here = HttpUrl::parse("http://localhost:11434").ok();
    assert!(here.is_some_and(|here| proxies.proxy_for(&here).is_none()), "{except}");
}
