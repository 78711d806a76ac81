//! `callgate plugin …`: one file a tool, thin over `callbacks` and `config`.
//!
//! A tool returns what is to be printed and the exit status: 0, 1 when what was looked at is not in
//! order, 2 when it could not even be asked for. `inspect`, `list` and `pin` execute nothing of a
//! plugin; `check` does in a child process; `test` and `bench` do in this one.

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

/// What a tool came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub complaint: String,
    /// The exit status.
    pub code: u8,
}

impl Finished {
    fn ok(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// As [`Finished::ok`], with status 1 unless it is `good`.
    fn judged(text: String, good: bool) -> Self {
        Self { text, code: u8::from(!good), ..Self::default() }
    }

    /// What was looked at is not in order.
    fn failed(complaint: &impl Display) -> Self {
        Self { complaint: format!("error: {complaint}\n"), code: 1, ..Self::default() }
    }

    /// The question makes no sense.
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

/// Text with all control characters but line ends escaped: names come from files that nobody has
/// looked at yet, and they could steer a terminal.
fn printable(text: String) -> String {
    let steers = |it: char| it.is_control() && it != '\n';
    if !text.contains(steers) {
        return text;
    }
    let lines = text.split('\n').map(one_line);
    lines.collect::<Vec<_>>().join("\n")
}

/// As it is printed for programs.
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
