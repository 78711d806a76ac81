//! `callgate plugin …`: one file for each tool, on top of `callbacks` and `config`.
//!
//! A tool returns its output and the exit status: 0 for success, 1 if the examined plugin or config
//! has problems, 2 if the command itself was wrong. `inspect`, `list` and `pin` execute no plugin
//! code; `check` does so in a child process; `test` and `bench` do so in this one.

mod bench;
mod check;
mod finished;
mod inspect;
mod list;
mod new;
mod pin;
mod select;
mod test;

use crate::cli::Tool;
use callgate_telemetry::one_line;
pub use finished::Finished;

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

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn nothing_steers_a_terminal() {
        assert_eq!(printable("a\nb\n".to_owned()), "a\nb\n");
        assert_eq!(printable("a\u{1b}[2J\nb\r\n".to_owned()), "a\\u{1b}[2J\nb\\r\n");
    }
}
