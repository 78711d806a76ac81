//! Logs what is refused before there is a request, and shortens what a client may make long.

use crate::call_totals::CallOutcome;
use callgate_failure::type_of;
use callgate_telemetry::{cut, key, write_line};
use std::borrow::Cow;
use tracing::Level;

/// The log target of these lines, for `RUST_LOG`.
pub(super) const ACCESS: &str = "callgate::access";

/// The longest name or path in a line, in characters.
const NAME: usize = 200;

/// A name or a path, shortened to fit a line.
pub(super) fn shortened(text: &str) -> Cow<'_, str> {
    cut(text, NAME)
}

/// Logs bytes that are not an HTTP request. Nothing of them is repeated.
pub(super) fn log_refusal(client: Option<&str>, status: u16, why: &str) {
    write_line((Level::INFO, ACCESS), "request refused", |line| {
        line.number(key!("status"), status.into());
        line.text(key!("outcome"), CallOutcome::Error.name());
        line.maybe_text(key!("client.address"), client);
        line.text(key!("error.code"), &status.to_string());
        line.text(key!("error.type"), type_of(status));
        line.text(key!("error.message"), why);
    });
}
