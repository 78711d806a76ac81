//! Authenticates clients by the headers that LiteLLM reads, in LiteLLM's order, before any body is
//! read. Routes declare whether they need the key; no endpoint checks keys itself.

use super::route::Access;
use crate::app::App;
use axum::http::HeaderMap;
use callgate_failure::Failure;
use callgate_secret::credentials::KEY_HEADERS;

/// Admits the holder of the key, and everybody where `access` needs none.
pub(super) fn admit(app: &App, access: Access, headers: &HeaderMap) -> Result<(), Failure> {
    match access {
        Access::Open => Ok(()),
        Access::AsMetricsAreSet if !app.metrics_auth => Ok(()),
        Access::MasterKey if app.master_key.is_none() => Err(Failure::no_master_key()),
        Access::Key | Access::MasterKey | Access::AsMetricsAreSet => check(app, headers),
    }
}

/// The name of the key's holder for the log; `None` without a valid key.
pub(super) fn key_id<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a str> {
    check(app, headers).is_ok().then_some(&*app.key_id)
}

/// Admits the holder of the master key, and everybody if no master key is set.
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

/// The key in a header's value: after a scheme in `Authorization`, plain elsewhere. Like LiteLLM,
/// it takes the text after `Basic` as the key itself, without decoding.
fn key_of<'a>(name: &str, value: &'a [u8]) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    let key = behind_scheme(value);
    let key = if name == "authorization" { key? } else { key.unwrap_or(value) };
    (!key.is_empty()).then_some(key)
}

/// The value after the scheme, which may have any case, and one or more blanks (RFC 9110, section
/// 11.4).
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
