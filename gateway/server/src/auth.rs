//! Who calls: the key from LiteLLM's headers in LiteLLM's order, before any body is read. Routes
//! say whether they need it; no endpoint looks at keys itself.

use super::route::Access;
use crate::app::App;
use axum::http::HeaderMap;
use callgate_failure::Failure;
use callgate_secret::credentials::KEY_HEADERS;

/// Lets those pass who may ask for it.
pub(super) fn admit(app: &App, access: Access, headers: &HeaderMap) -> Result<(), Failure> {
    match access {
        Access::Open => Ok(()),
        Access::AsMetricsAreSet if !app.metrics_auth => Ok(()),
        Access::Key | Access::AsMetricsAreSet => check(app, headers),
    }
}

/// Who sent a request, as the log names the key's holder.
pub(super) fn key_id<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a str> {
    check(app, headers).is_ok().then_some(&*app.key_id)
}

/// Lets the holder of the master key pass, and everybody when there is none.
fn check(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let Some(master_key) = &app.master_key else { return Ok(()) };
    let sent = app
        .key_header
        .iter()
        .chain(&KEY_HEADERS)
        .find_map(|name| Some((name.as_str(), headers.get(name)?)));
    let Some((name, value)) = sent else {
        return Err(Failure::no_key());
    };
    let Some(key) = key_of(name, value.as_bytes()) else {
        return Err(Failure::malformed_key());
    };
    if master_key.matches(key) {
        return Ok(());
    }
    Err(Failure::wrong_key())
}

/// The key in a header's value: behind a scheme in `Authorization`, plain elsewhere. What LiteLLM
/// takes behind `Basic` is the key as it is, in no encoding.
fn key_of<'a>(name: &str, value: &'a [u8]) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    let key = behind_scheme(value);
    let key = if name == "authorization" { key? } else { key.unwrap_or(value) };
    (!key.is_empty()).then_some(key)
}

/// What follows the scheme, in any case, and one or more blanks (RFC 9110, section 11.4).
fn behind_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at(value.iter().position(|byte| *byte == b' ')?);
    let known = ["bearer", "basic"].iter().any(|it| scheme.eq_ignore_ascii_case(it.as_bytes()));
    known.then(|| key.trim_ascii_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_litellm_reads_them() {
        for (name, value, expected) in [
            ("authorization", "Bearer k", Some("k")),
            ("authorization", "bearer k", Some("k")),
            ("authorization", "Basic k", Some("k")),
            ("authorization", "BEARER k", Some("k")),
            ("authorization", "Bearer", None),
            ("authorization", "Bearerk", None),
            ("authorization", "Digest k", None),
            ("authorization", "k", None),
            ("authorization", "Bearer ", None),
            ("authorization", "Bearer   k ", Some("k")),
            ("x-api-key", "bearer", Some("bearer")),
            ("x-api-key", "Bearer ", Some("Bearer")),
            ("x-api-key", "k", Some("k")),
            ("x-litellm-api-key", "Bearer k", Some("k")),
        ] {
            let found = key_of(name, value.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{name}: {value}");
        }
    }
}
