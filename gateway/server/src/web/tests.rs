//! Which requests pass with and without a key, and the CORS headers for browsers.

use super::*;
use callgate_config::{Environment, UnknownKeys, parse};
use http::Request;
use std::{path::Path, sync::Arc};

fn rules(config: &str, host: &str) -> WebRules {
    let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
    let config = parse(&file, config, &Environment::default(), UnknownKeys::Refuse).unwrap();
    WebRules::new(&config, host)
}

const KEYLESS: &str = "model_list: []";
const KEYED: &str = "general_settings: {master_key: sk-test-key}";

fn head(headers: &[(&str, &str)]) -> Parts {
    let request = Request::builder().uri("/v1/models");
    let request = headers.iter().fold(request, |request, (n, v)| request.header(*n, *v));
    request.body(()).unwrap().into_parts().0
}

/// The failure's code, "" for none.
fn refused(rules: &WebRules, headers: &[(&str, &str)]) -> String {
    match rules.admit(&head(headers)) {
        Ok(()) => String::new(),
        Err(failure) => failure.code_text().to_owned(),
    }
}

#[test]
fn without_a_key_only_names_of_this_machine_are_served() {
    let loopback = rules(KEYLESS, "127.0.0.1");
    for (host, passes) in [
        ("127.0.0.1:4000", true),
        ("127.9.9.9", true),
        ("localhost:4000", true),
        ("LOCALHOST.", true),
        ("app.localhost", true),
        ("[::1]:4000", true),
        ("[::ffff:127.0.0.1]", true),
        ("", false),
        ("rebind.evil.example", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.nip.io", false),
        ("notlocalhost", false),
        ("10.1.2.3:4000", false),
        ("0.0.0.0", false),
        ("[::]", false),
        ("[localhost]", false),
        ("[127.0.0.1]", false),
        ("2130706433", false),
    ] {
        let expected = if passes { "" } else { "foreign_host" };
        assert_eq!(refused(&loopback, &[("host", host)]), expected, "{host}");
    }
    let bound = rules(KEYLESS, "10.1.2.3");
    assert_eq!(refused(&bound, &[("host", "10.1.2.3:4000")]), "");
    assert_eq!(refused(&bound, &[("host", "10.1.2.4:4000")]), "foreign_host");
    let everywhere = rules(KEYLESS, "0.0.0.0");
    assert_eq!(refused(&everywhere, &[("host", "10.1.2.4:4000")]), "");
    assert_eq!(refused(&everywhere, &[("host", "evil.example")]), "foreign_host");
    let listed = rules("callgate: {allow_hosts: [gw.internal]}", "0.0.0.0");
    assert_eq!(refused(&listed, &[("host", "GW.internal:4000")]), "");
    let any = rules("callgate: {allow_hosts: ['*']}", "0.0.0.0");
    assert_eq!(refused(&any, &[("host", "whatever")]), "");
}

#[test]
fn a_target_in_absolute_form_is_a_host_too() {
    let rules = rules(KEYLESS, "127.0.0.1");
    let request = Request::builder().uri("http://evil.example/callbacks");
    let head = request.header("host", "localhost").body(()).unwrap().into_parts().0;
    assert_eq!(rules.admit(&head).unwrap_err().code_text(), "foreign_host");
}

#[test]
fn without_a_key_only_pages_of_this_machine_are_served() {
    let plain = rules(KEYLESS, "127.0.0.1");
    let listed = rules("callgate: {cors: {allow_origins: [https://a.example]}}", "127.0.0.1");
    let any = rules("callgate: {cors: {allow_origins: ['*']}}", "127.0.0.1");
    for (headers, in_plain, in_listed) in [
        (&[][..], true, true),
        (&[("origin", "http://localhost:3000")], true, true),
        (&[("origin", "https://127.0.0.1")], true, true),
        (&[("origin", "http://[::1]:5173")], true, true),
        (&[("origin", "http://evil.example")], false, false),
        (&[("origin", "https://a.example")], false, true),
        (&[("origin", "https://a.example:8443")], false, false),
        (&[("origin", "http://a.example")], false, false),
        (&[("origin", "null")], false, false),
        (&[("origin", "")], false, false),
        (&[("origin", "http://localhost@evil.example")], false, false),
        (&[("origin", "http://localhost.evil.example")], false, false),
        (&[("origin", "http://localhost:1@evil.example")], false, false),
        (&[("origin", "chrome-extension://localhost")], false, false),
        (&[("origin", "http://localhost"), ("origin", "http://evil.example")], false, false),
        (&[("sec-fetch-site", "cross-site")], false, false),
        (&[("sec-fetch-site", "same-origin")], true, true),
        (&[("sec-fetch-site", "none")], true, true),
        (&[("origin", "http://localhost:1"), ("sec-fetch-site", "cross-site")], true, true),
        (&[("origin", "https://a.example"), ("sec-fetch-site", "cross-site")], false, true),
    ] {
        let headers = [&[("host", "localhost")], headers].concat();
        for (rules, passes) in [(&plain, in_plain), (&listed, in_listed), (&any, true)] {
            let expected = if passes { "" } else { "foreign_origin" };
            assert_eq!(refused(rules, &headers), expected, "{headers:?}");
        }
    }
    let keyed = rules(KEYED, "127.0.0.1");
    assert_eq!(refused(&keyed, &[("host", "x"), ("origin", "http://evil.example")]), "");
}

#[test]
fn an_answer_is_for_allowed_origins_only() {
    let listed = "general_settings: {master_key: sk-test-key}\n\
                  callgate: {cors: {allow_origins: [https://a.example]}}";
    for (config, origin, allowed, varies) in [
        (KEYED, "https://a.example", Some("*"), false),
        (KEYED, "null", Some("*"), false),
        (listed, "https://a.example", Some("https://a.example"), true),
        (listed, "https://b.example", None, true),
        (listed, "http://localhost:3000", None, true),
        (KEYLESS, "http://localhost:3000", Some("http://localhost:3000"), true),
        (KEYLESS, "https://a.example", None, true),
        (KEYLESS, "null", None, true),
    ] {
        let rules = rules(config, "127.0.0.1");
        let mut headers = HeaderMap::new();
        headers.insert("access-control-allow-origin", HeaderValue::from_static("http://other"));
        rules.mark(Some(&origin.parse().unwrap()), &mut headers);
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(text("access-control-allow-origin"), allowed, "{config}: {origin}");
        assert_eq!(text("access-control-expose-headers").is_some(), allowed.is_some());
        assert_eq!(text("vary").is_some(), varies, "{config}: {origin}");
        assert_eq!(text("access-control-allow-credentials"), None);
        let preflight = rules.preflight(&HeaderMap::new(), Some(&origin.parse().unwrap()));
        assert_eq!(preflight.is_ok(), allowed.is_some(), "{config}: {origin}");
    }
}
