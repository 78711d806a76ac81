//! Authenticates clients by the headers that LiteLLM reads, in LiteLLM's order, before any body is
//! read. Routes declare whether they need the key; no endpoint checks keys itself. Callbacks with
//! `on_auth` may know further callers.

use super::route::Access;
use crate::app::App;
use callgate_call::{Caller, KeyHolder};
use callgate_callbacks::{AuthQuestion, AuthSource};
use callgate_failure::Failure;
use callgate_host::{Clock as _, SystemClock};
use callgate_secret::credentials::KEY_HEADERS;
use http::{HeaderMap, request::Parts};
use std::{ops::Deref, sync::Arc, time::Instant};

/// The holder of a key of the config, or a caller whom a callback knows.
#[derive(Debug)]
pub(super) enum Holder<'a> {
    Listed(&'a KeyHolder),
    Described(Arc<KeyHolder>),
}

impl Deref for Holder<'_> {
    type Target = KeyHolder;

    fn deref(&self) -> &KeyHolder {
        match self {
            Self::Listed(holder) => holder,
            Self::Described(holder) => holder,
        }
    }
}

/// Admits the holder of a key with the scope that `access` needs, and everybody where it needs
/// none, as `None`. Also a caller who lacks the scope is noted in `caller`, for the log.
pub(super) async fn admit<'a>(
    app: &'a App,
    access: Access,
    from @ (head, ..): (&Parts, Option<&str>, Instant),
    caller: &mut Option<Arc<Caller>>,
) -> Result<Option<Holder<'a>>, Failure> {
    let holder = match access {
        Access::Open => return Ok(None),
        Access::AsMetricsAreSet if !app.metrics_auth => return Ok(None),
        Access::Admin if app.keyring.everybody().is_some() => return Err(Failure::no_master_key()),
        Access::Calls | Access::Reports | Access::Admin | Access::AsMetricsAreSet
            if app.authenticates =>
        {
            // Boxed, so that requests of other gateways carry no room for it.
            Box::pin(asked(app, from)).await?
        }
        Access::Calls | Access::Reports | Access::Admin | Access::AsMetricsAreSet => {
            Holder::Listed(listed(app, &head.headers)?)
        }
    };
    *caller = Some(Arc::clone(&holder.caller));
    let scopes = holder.scopes;
    let (has, scope) = match access {
        Access::Calls => (scopes.calls, "calls"),
        Access::Admin => (scopes.admin, "admin"),
        _ => (scopes.metrics || scopes.admin, "metrics"),
    };
    if has { Ok(Some(holder)) } else { Err(Failure::missing_scope(scope)) }
}

/// The holder of the sent key of the config for the log, where nobody needs one.
pub(super) fn key_id<'a>(app: &'a App, headers: &HeaderMap) -> Option<&'a str> {
    listed(app, headers).ok().map(|holder| &*holder.caller.key_id)
}

/// The holder of the master key, or the caller whom a callback names, or the holder of another key
/// of the config. The master key is compared first, wherever it is, so that no callback sees it.
async fn asked<'a>(
    app: &'a App,
    (head, client, accepted): (&Parts, Option<&str>, Instant),
) -> Result<Holder<'a>, Failure> {
    if let Some(master) = keys(app, &head.headers).find_map(|key| app.keyring.master(key)) {
        return Ok(Holder::Listed(master));
    }
    let source = AuthSource {
        headers: &head.headers,
        method: &head.method,
        path: head.uri.path(),
        client_address: client,
        accepted,
    };
    let question = AuthQuestion { source, key_header: app.key_header.as_ref() };
    let chain = app.callbacks.chain();
    if let Some(known) = chain.known_caller(question) {
        return known.map(Holder::Described);
    }
    match chain.caller(question).await? {
        Some(holder) => Ok(Holder::Described(holder)),
        None => listed(app, &head.headers).map(Holder::Listed),
    }
}

/// The keys in all headers that may carry one.
fn keys<'h>(app: &'h App, headers: &'h HeaderMap) -> impl Iterator<Item = &'h [u8]> {
    let names = app.key_header.iter().chain(&KEY_HEADERS);
    let values = names.flat_map(|name| headers.get_all(name).iter().map(move |it| (name, it)));
    values.filter_map(|(name, value)| key_of(name.as_str(), value.as_bytes()))
}

/// The holder of the sent key of the config, or everybody if nobody needs a key.
fn listed<'a>(app: &'a App, headers: &HeaderMap) -> Result<&'a KeyHolder, Failure> {
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
