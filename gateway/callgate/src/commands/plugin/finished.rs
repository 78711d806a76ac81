//! What a tool returns: its output and the exit status.

use serde::Serialize;
use std::fmt::Display;

/// The result of a tool.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Text for standard output.
    pub text: String,
    /// Text for standard error.
    pub complaint: String,
    /// The exit status.
    pub code: u8,
}

impl Finished {
    pub(super) fn ok(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// As [`Finished::ok`], but with status 1 unless `good`.
    pub(super) fn judged(text: String, good: bool) -> Self {
        Self { text, code: u8::from(!good), ..Self::default() }
    }

    /// The examined plugin or config has problems.
    pub(super) fn failed(complaint: &impl Display) -> Self {
        Self { complaint: format!("error: {complaint}\n"), code: 1, ..Self::default() }
    }

    /// The command was wrong.
    pub(super) fn misused(complaint: &impl Display) -> Self {
        Self { complaint: format!("error: {complaint}\n"), code: 2, ..Self::default() }
    }
}

/// The value as JSON, for programs.
pub(super) fn as_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
