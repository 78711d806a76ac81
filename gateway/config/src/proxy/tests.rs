//! What the variables and an entry's `proxy` mean.

use super::*;

fn server(text: &str) -> Result<(String, u16, String, String), ProxyError> {
    let proxy = ProxyServer::parse(text)?;
    let line = proxy.authorization_line().trim_end().to_owned();
    Ok((proxy.hostname.clone(), proxy.port, proxy.address.clone(), line))
}

#[test]
fn a_proxy_is_read_with_and_without_its_parts() {
    let basic = |pair: &str| format!("proxy-authorization: Basic {pair}");
    for (text, host, port, address, line) in [
        ("http://proxy.corp:3128", "proxy.corp", 3128, "proxy.corp:3128", String::new()),
        ("proxy:3128", "proxy", 3128, "proxy:3128", String::new()),
        (" HTTP://proxy/ ", "proxy", 80, "proxy:80", String::new()),
        ("http://[::1]:8080", "::1", 8080, "[::1]:8080", String::new()),
        ("http://user:pass@proxy:1", "proxy", 1, "proxy:1", basic("dXNlcjpwYXNz")),
        ("user@proxy:1", "proxy", 1, "proxy:1", basic("dXNlcjo=")),
        // `a@b` and `p:w/d`, and bytes that are no text.
        ("http://a%40b:p%3Aw%2Fd@proxy:1", "proxy", 1, "proxy:1", basic("YUBiOnA6dy9k")),
        ("http://u:%ff@proxy:1", "proxy", 1, "proxy:1", basic("dTr/")),
        // The last `@` ends the user.
        ("http://u:p@ss@proxy:1", "proxy", 1, "proxy:1", basic("dTpwQHNz")),
        ("http://@proxy:1", "proxy", 1, "proxy:1", String::new()),
    ] {
        let expected = (host.to_owned(), port, address.to_owned(), line);
        assert_eq!(server(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_proxy_by_http_is_refused_by_its_kind() {
    for (text, expected) in [
        ("", ProxyError::NotUrl),
        ("http://", ProxyError::NotUrl),
        ("http://:3128", ProxyError::NotUrl),
        ("http://proxy:x", ProxyError::NotUrl),
        ("http://pro xy:1", ProxyError::NotUrl),
        ("ftp://proxy:1", ProxyError::NotUrl),
        ("https://proxy:1", ProxyError::Tls),
        ("socks5://proxy:1", ProxyError::Socks),
        ("SOCKS5H://proxy:1", ProxyError::Socks),
    ] {
        assert_eq!(server(text), Err(expected), "{text}");
    }
}

#[test]
fn nothing_shows_the_credentials() {
    let (proxies, _) = of(&[("HTTPS_PROXY", "http://ann:wonder-land-7@proxy:1")]);
    let shown = format!("{proxies:?} {:?}", ProxyServer::parse("http://ann:wonder-land-7@proxy:1"));
    assert!(shown.contains("proxy:1"), "{shown}");
    assert!(!shown.contains("wonder") && !shown.contains("YW5u"), "{shown}");
    let mut secrets = Secrets::default();
    proxies.add_secrets(&mut secrets);
    let masking = secrets.masking();
    let masked = masking.mask("ann:wonder-land-7 and YW5uOndvbmRlci1sYW5kLTc=");
    assert!(!masked.contains("wonder") && !masked.contains("YW5u"), "{masked}");
}

fn of(pairs: &[(&'static str, &'static str)]) -> (Proxies, Vec<UnusableProxy>) {
    Proxies::from_environment(&Environment::from_pairs(pairs.iter().copied()))
}

/// The address of the proxy that leads to a URL, or `direct`.
fn way(proxies: &Proxies, url: &str) -> String {
    let url = HttpUrl::parse(url).unwrap();
    proxies.proxy_for(&url).map_or_else(|| "direct".to_owned(), |it| it.address().to_owned())
}

#[test]
fn variables_choose_by_scheme_and_lower_case_wins() {
    for (pairs, http, https) in [
        (&[][..], "direct", "direct"),
        (&[("HTTP_PROXY", "http://a:1")], "a:1", "direct"),
        (&[("https_proxy", "a:1")], "direct", "a:1"),
        (&[("ALL_PROXY", "a:1")], "a:1", "a:1"),
        (&[("all_proxy", "a:1"), ("ALL_PROXY", "b:1")], "a:1", "a:1"),
        (&[("ALL_PROXY", "a:1"), ("HTTPS_PROXY", "b:2")], "a:1", "b:2"),
        (&[("http_proxy", "a:1"), ("HTTP_PROXY", "b:1")], "a:1", "direct"),
        (&[("http_proxy", " "), ("HTTP_PROXY", "b:1"), ("ALL_PROXY", "c:1")], "direct", "c:1"),
    ] {
        let (proxies, unusable) = of(pairs);
        assert!(unusable.is_empty(), "{pairs:?}");
        assert_eq!(way(&proxies, "http://x.example/v1"), http, "{pairs:?}");
        assert_eq!(way(&proxies, "https://x.example/v1"), https, "{pairs:?}");
    }
}

#[test]
fn an_unusable_variable_is_named_only_if_it_counts() {
    let (proxies, unusable) = of(&[("ALL_PROXY", "socks5://s:1"), ("HTTPS_PROXY", "a:1")]);
    assert_eq!(way(&proxies, "https://x.example"), "a:1");
    let expected = UnusableProxy { variable: "ALL_PROXY", error: ProxyError::Socks, tls: false };
    assert_eq!(unusable, [expected]);
    assert!(
        of(&[("ALL_PROXY", "socks5://s:1"), ("HTTPS_PROXY", "a:1"), ("HTTP_PROXY", "")])
            .1
            .is_empty()
    );
}

#[test]
fn exempt_servers_are_reached_directly() {
    for (list, url, exempt) in [
        ("*", "https://api.example.com", true),
        ("a.example, api.example.com", "https://api.example.com/v1", true),
        ("a.example api.example.com", "https://api.example.com/v1", true),
        (".example.com", "https://api.example.com", true),
        (".example.com", "https://example.com", true),
        ("*.example.com", "https://api.example.com", true),
        ("example.com", "https://api.EXAMPLE.com.", true),
        ("example.com.", "https://api.example.com", true),
        ("ample.com", "https://api.example.com", false),
        ("", "https://api.example.com", false),
        ("other,,", "https://api.example.com", false),
        ("example.com:443", "https://api.example.com", true),
        ("example.com:8443", "https://api.example.com", false),
        ("example.com:8443", "https://api.example.com:8443", true),
        ("example.com:port", "https://api.example.com", false),
        ("10.0.0.0/8", "http://10.1.2.3:8000/v1", true),
        ("10.0.0.0/8", "http://11.1.2.3:8000/v1", false),
        ("10.0.0.0/8", "http://ten.example/v1", false),
        ("192.168.1.7", "http://192.168.1.7/v1", true),
        ("192.168.1.7:80", "http://192.168.1.7/v1", true),
        ("192.168.1.7:81", "http://192.168.1.7/v1", false),
        ("fd00::/8", "http://[fd00::1]:1/v1", true),
        ("[fd00::1]", "http://[fd00:0::1]:1/v1", true),
        ("[fd00::1]:2", "http://[fd00::1]:1/v1", false),
        ("[fd00::1]:1", "http://[fd00::1]:1/v1", true),
        ("", "http://localhost:11434", true),
        ("", "http://ollama.localhost", true),
        ("", "http://127.1.2.3/v1", true),
        ("", "http://[::1]:8080/v1", true),
        ("", "http://localhost.example.com", false),
        ("", "http://10.0.0.1", false),
    ] {
        let except = NoProxy::parse(list);
        assert_eq!(except.has(&HttpUrl::parse(url).unwrap()), exempt, "{list} {url}");
    }
}

#[test]
fn the_proxy_of_an_entry_leads_everywhere() {
    let proxy = ProxyServer::parse("http://a:1").unwrap();
    let (through, direct) = (Proxies::always(Some(proxy)), Proxies::always(None));
    for url in ["http://localhost:1", "https://x.example", "http://127.0.0.1"] {
        assert_eq!(way(&through, url), "a:1");
        assert_eq!(way(&direct, url), "direct");
    }
}
