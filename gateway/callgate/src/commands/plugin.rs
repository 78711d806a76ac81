//! `callgate plugin …`: one file for each tool, on top of `callbacks` and `config`.
//!
//! A tool returns its output and the exit status: 0 for success, 1 if the examined plugin or config
//! has problems, 2 if the command itself was wrong. `inspect`, `list` and `pin` execute no plugin
//! code; `check` does so in a child process; `test` and `bench` do so in this one.

mod bench;
mod check;
mod inspect;
mod list;
mod new;
mod pin;
mod select;
mod test;

use crate::cli::Tool;
use callgate_telemetry::one_line;
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
    fn ok(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// As [`Finished::ok`], but with status 1 unless `good`.
    fn judged(text: String, good: bool) -> Self {
        Self { text, code: u8::from(!good), ..Self::default() }
    }

    /// The examined plugin or config has problems.
    fn failed(complaint: &impl Display) -> Self {
        Self { complaint: format!("error: {complaint}\n"), code: 1, ..Self::default() }
    }

    /// The command was wrong.
    fn misused(complaint: &impl Display) -> Self {
        Self { complaint: format!("error: {complaint}\n"), code: 2, ..Self::default() }
    }
}

/// Runs a tool.
#[must_use]
pub fn run(tool: Tool) -> Finished {
    let finished = match tool {
        Tool::New(options) => new::run(&options),
        Tool::Inspect(options) => inspect::run(&options),
        Tool::Check(options) => check::run(&options),
        Tool::Test(options) => test::run(&options),
        Tool::Bench(options) => bench::run(&options),
        Tool::List(options) => list::run(&options),
        Tool::Pin(options) => pin::run(&options),
    };
    let Finished { text, complaint, code } = finished;
    Finished { text: printable(text), complaint: printable(complaint), code }
}

/// Escapes all control characters except line ends: names come from unchecked files and could
/// control a terminal.
fn printable(text: String) -> String {
    let steers = |it: char| it.is_control() && it != '\n';
    if !text.contains(steers) {
        return text;
    }
    let lines = text.split('\n').map(one_line);
    lines.collect::<Vec<_>>().join("\n")
}

/// The value as JSON, for programs.
fn as_json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(printable("a\nb\n".to_owned()), "a\nb\n");
        assert_eq!(printable("a\u{1b}[2J\nb\r\n".to_owned()), "a\\u{1b}[2J\nb\\r\n");
    }
}
