//! Keys of a `model_list` entry with a rule of their own. `litellm_keys` has the table of all keys.

use crate::closest::closest;

/// Parameters that every call needs, so that they cannot be dropped.
pub(super) const OF_CALLS: &[&str] = &["model", "messages", "stream"];

/// Parameters that only the client may set: it gets a stream, or several choices, only if it asks
/// for them. They are ignored in `litellm_params`.
pub(super) const OF_CLIENTS: &[&str] = &["messages", "n", "prompt", "stream"];

/// The keys for the server and the credentials of a call. A misspelt one is never sent as a request
/// parameter: the body would carry a secret, or a prompt would reach another server.
const OF_DESTINATION: &[&str] = &[
    "api_base",
    "api_key",
    "base_url",
    "extra_headers",
    "headers",
    "organization",
    "proxy",
    "ssl_certificate",
    "ssl_certificate_key",
    "ssl_verify",
];

/// The destination key that an unknown `key` was most likely meant to be.
pub(super) fn of_destination(key: &str) -> Option<&'static str> {
    let plain = key.to_lowercase().replace('-', "_");
    let known = OF_DESTINATION.iter().copied();
    known.clone().find(|name| plain.ends_with(name)).or_else(|| closest(key, known))
}
