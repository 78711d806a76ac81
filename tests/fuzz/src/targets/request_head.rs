//! What the server reads from a request's path and headers: model names, hosts, origins, the
//! sender.
//!
//! The first line is the path, the others are headers.

use callgate_server::fuzzing::judge;
use std::net::IpAddr;

pub(super) const TOKENS: &[&[u8]] = &[
    b"/v1/chat/completions",
    b"/engines/",
    b"/chat/completions",
    b"/v1/models/",
    b"/models/",
    b"%2F",
    b"%25",
    b"%",
    b"%ff",
    b"%00",
    b"/",
    b"//",
    b"\\",
    b"..",
    b"\nhost: localhost",
    b"\nhost: 127.0.0.1:4000",
    b"\nhost: [::1]:4000",
    b"\nhost: evil.example",
    b"\norigin: http://localhost:3000",
    b"\norigin: https://evil.example",
    b"\norigin: null",
    b"\nsec-fetch-site: cross-site",
    b"\nx-forwarded-for: 203.0.113.5",
    b", 10.1.1.1",
    b"\nforwarded: for=\"[2001:db8::5]:80\";proto=https",
    b"for=",
    b"[",
    b"]",
    b":",
    b"@",
    b".localhost",
    b"localhost.",
    b"::ffff:127.0.0.1",
    b",",
    b"\"",
    b";",
    b"?x=1",
    b"#",
    b"http://",
    b"*",
    b"0.0.0.0",
    b"127.1",
];

pub(super) fn check(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let path = lines.next().unwrap_or_default();
    let headers: Vec<(&str, &[u8])> = lines.filter_map(read).collect();
    let Some(judged) = judge(path, &headers) else { return };
    let address = |text: &str| text.parse::<IpAddr>();
    assert!(address(&judged.behind_proxy).is_ok(), "{judged:?}");
    assert_eq!(judged.direct, "192.0.2.1", "a client that nobody trusts was believed");
    if judged.admitted {
        let mut hosts = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("host"));
        let host = hosts.next().map(|(_, value)| String::from_utf8_lossy(value).to_lowercase());
        assert!(host.is_some_and(|host| is_local(host.trim())), "a foreign host is served");
        for (_, origin) in headers.iter().filter(|it| it.0.eq_ignore_ascii_case("origin")) {
            let origin = String::from_utf8_lossy(origin).to_lowercase();
            assert!(is_local_origin(origin.trim()), "a page of {origin} is served");
        }
    }
    if let Some(origin) = &judged.readable_by {
        assert!(is_local_origin(&origin.to_lowercase()), "a page of {origin} may read");
    }
    if let Some(path) = &judged.redirected {
        let leads_away = path.starts_with("//") || path.starts_with("/\\") || path.ends_with('/');
        assert!(path.starts_with('/') && !leads_away, "leads to {path}");
    }
    if let Some(Ok(model)) = &judged.model {
        let longest = path.len();
        assert!(model.len() <= longest, "a name longer than its path: {model}");
    }
}

fn read(line: &[u8]) -> Option<(&str, &[u8])> {
    let at = line.iter().position(|byte| *byte == b':')?;
    let name = std::str::from_utf8(&line[..at]).ok()?;
    Some((name, line[at + 1..].trim_ascii()))
}

fn is_local_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_local)
}

/// Written independently of the gateway: looks at the text without port and brackets.
fn is_local(authority: &str) -> bool {
    if authority.contains(['/', '@', ',', ' ', '\\', '#', '?']) {
        return false;
    }
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => authority,
    };
    let (name, literal) = match name.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(literal) => (literal, true),
        None => (name.strip_suffix('.').unwrap_or(name), false),
    };
    let parsed = name.parse::<IpAddr>().ok().map(|it| it.to_canonical());
    let local = parsed.is_some_and(|address| address.is_loopback());
    local || (!literal && (name == "localhost" || name.ends_with(".localhost")))
}
