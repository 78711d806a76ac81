//! Authenticates clients by the headers that LiteLLM reads, in LiteLLM's order, before any body is
//! read. Routes declare whether they need the key; no endpoint checks keys itself.

use super::{keyring::KeyHolder, route::Access};
use crate::app::App;
use axum::http::HeaderMap;
use callgate_failure::Failure;
use callgate_host::{Clock as _, SystemClock};
use callgate_secret::credentials::KEY_HEADERS;

/// Admits the holder of a key with the scope that `access` needs, and everybody where it needs
/// none, as `None`.
pub(super) fn admit<'a>(
    app: &'a App,
    access: Access,
    headers: &HeaderMap,
) -> Result<Option<&'a KeyHolder>, Failure> {
    let holder = match access {
        Access::Open => return Ok(None),
        Access::AsMetricsAreSet if !app.metrics_auth => return Ok(None),
        Access::Admin if app.keyring.everybody().is_some() => return Err(Failure::no_master_key()),
        Access::Calls | Access::Reports | Access::Admin | Access::AsMetricsAreSet => {
            holder(app, headers)?
        }
    };
    let scopes = holder.scopes;
    let (has, scope) = match access {
        Access::Calls => (scopes.calls, "calls"),
        Access::Admin => (scopes.admin, "admin"),
        _ => (scopes.metrics || scopes.admin, "metrics"),
    };
    if has { Ok(Some(holder)) } else { Err(Failure::missing_scope(scope)) }
}

/// The name of the sent key for the log; `None` without a valid key.
pub(super) fn key_id<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a str> {
    holder(app, headers).ok().map(|holder| &*holder.caller.key_id)
}

/// The holder of the sent key, or everybody if no key is set.
fn holder<'a>(app: &'a App, headers: &HeaderMap) -> Result<&'a KeyHolder, Failure> {
    if let Some(everybody) = app.keyring.everybody() {
        return Ok(everybody);
    }
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
    app.keyring.holder(key, || SystemClock.unix_ms())
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
