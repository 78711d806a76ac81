//! Why `plugin test` could not run anything.

use callgate_config::Problem;

/// Why nothing could run: the command was wrong (status 2), or the plugin or config has problems
/// (status 1).
pub(super) enum Refused {
    Misuse(String),
    Unfit(String),
}

impl Refused {
    /// The problems, each on its line.
    pub(super) fn unfit(problems: &[Problem]) -> Self {
        let line = |problem: &Problem| format!("{}: {problem}", problem.severity);
        Self::Unfit(problems.iter().map(line).collect::<Vec<_>>().join("\n"))
    }
}
