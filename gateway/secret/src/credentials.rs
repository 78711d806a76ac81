//! The headers with clients' credentials: authentication reads them, callbacks see them masked, and
//! failures must not repeat them.

use http::{HeaderMap, HeaderName, header};

/// The headers that may carry the key, in LiteLLM's order: the first one present counts.
pub static KEY_HEADERS: [HeaderName; 6] = [
    HeaderName::from_static("x-litellm-api-key"),
    header::AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("ocp-apim-subscription-key"),
];

/// Headers with credentials for another server, mostly a proxy on the way.
static OTHERS: [HeaderName; 12] = [
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SET_COOKIE,
    HeaderName::from_static("x-auth-token"),
    HeaderName::from_static("x-access-token"),
    HeaderName::from_static("x-amz-security-token"),
    HeaderName::from_static("x-forwarded-access-token"),
    HeaderName::from_static("x-forwarded-authorization"),
    HeaderName::from_static("x-original-authorization"),
    HeaderName::from_static("x-goog-iap-jwt-assertion"),
    HeaderName::from_static("cf-access-jwt-assertion"),
    HeaderName::from_static("cf-access-client-secret"),
];

/// Whether the header carries credentials; `key_header` is the one the operator named.
pub fn is_credential(name: &str, key_header: Option<&HeaderName>) -> bool {
    key_header
        .into_iter()
        .chain(&KEY_HEADERS)
        .chain(&OTHERS)
        .any(|known| known.as_str().eq_ignore_ascii_case(name))
}

/// The keys that a client sent, without their schemes.
pub fn sent_keys<'h>(
    headers: &'h HeaderMap,
    key_header: Option<&'h HeaderName>,
) -> impl Iterator<Item = &'h str> {
    let names = key_header.into_iter().chain(&KEY_HEADERS).chain(&OTHERS);
    let values = names.flat_map(|name| headers.get_all(name)).filter_map(|it| it.to_str().ok());
    values.map(str::trim).map(|value| match value.split_once(' ') {
        Some((scheme, key)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => key.trim(),
        _ => value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_known_in_any_case_and_by_the_operators_name() {
        let named = HeaderName::from_static("x-company-key");
        for (name, expected) in [
            ("Authorization", true),
            ("proxy-authorization", true),
            ("COOKIE", true),
            ("x-Company-Key", true),
            ("x-company", false),
            ("content-type", false),
        ] {
            assert_eq!(is_credential(name, Some(&named)), expected, "{name}");
        }
        assert!(!is_credential("x-company-key", None));
    }

    #[test]
    fn sent_keys_have_no_scheme() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer  k1"),
            ("x-api-key", "k2"),
            ("x-company-key", "k 3"),
            ("x-y", "n"),
        ] {
            headers.append(name, value.parse().unwrap());
        }
        let named = HeaderName::from_static("x-company-key");
        let keys: Vec<_> = sent_keys(&headers, Some(&named)).collect();
        assert_eq!(keys, ["3", "k1", "k2"]);
    }
}
