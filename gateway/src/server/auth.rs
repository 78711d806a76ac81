//! Who calls: the key from LiteLLM's headers in LiteLLM's order, before any body is read.

use crate::{app::App, callbacks::CREDENTIAL_HEADERS, failure::Failure};
use axum::http::HeaderMap;
use plugin_api::FailureKind;

/// Lets the holder of the master key pass, and everybody when there is none.
pub(super) fn check(app: &App, headers: &HeaderMap) -> Result<(), Failure> {
    let Some(master_key) = &app.master_key else { return Ok(()) };
    let sent = app
        .key_header
        .iter()
        .chain(&CREDENTIAL_HEADERS)
        .find_map(|name| Some((name.as_str(), headers.get(name)?)));
    let Some((name, value)) = sent else {
        return Err(refused("Authentication Error, No api key passed in."));
    };
    let Some(key) = key_of(name, value.as_bytes()) else {
        return Err(refused(
            "Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.",
        ));
    };
    if master_key.matches(key) {
        return Ok(());
    }
    Err(refused("Authentication Error, Invalid API key passed in."))
}

/// The key in a header's value: behind a scheme in `Authorization`, plain elsewhere.
fn key_of<'a>(name: &str, value: &'a [u8]) -> Option<&'a [u8]> {
    let schemed = ["Bearer ", "bearer ", "Basic "]
        .iter()
        .find_map(|scheme| value.strip_prefix(scheme.as_bytes()));
    let key = if name == "authorization" { schemed? } else { schemed.unwrap_or(value) };
    (!key.is_empty()).then_some(key)
}

/// `param` is the text "None", as LiteLLM sends it: clients compare these bodies.
fn refused(message: &str) -> Failure {
    Failure::new(FailureKind::INVALID, 401, message).error_type("auth_error").param("None")
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
            ("authorization", "BEARER k", None),
            ("authorization", "k", None),
            ("authorization", "Bearer ", None),
            ("authorization", "Bearer  k", Some(" k")),
            ("x-api-key", "k", Some("k")),
            ("x-litellm-api-key", "Bearer k", Some("k")),
        ] {
            let found = key_of(name, value.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{name}: {value}");
        }
    }
}
