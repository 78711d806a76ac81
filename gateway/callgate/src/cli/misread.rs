//! Errors of the command line, and the form in which they are reported.

use super::{Cli, LitellmOptions};
use callgate_secret::without_keys;
use callgate_telemetry::LogFormat;
use clap::{
    CommandFactory as _,
    error::{ContextKind, ContextValue},
};
use std::ffi::OsString;

/// An error of the command line.
#[derive(Debug)]
pub struct Misread {
    /// For people, with the usage; without a final line end.
    pub whole: String,
    /// The same as one sentence, without the usage.
    pub sentence: String,
}

impl Misread {
    /// Describes clap's error. It also suggests LiteLLM's options, which clap does not know, and
    /// masks a key that was put in the wrong place.
    #[must_use]
    pub fn of(error: &clap::Error) -> Self {
        let near = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(word)) if error.get(ContextKind::SuggestedArg).is_none() => {
                LitellmOptions::closest(word).map(|near| (word, near))
            }
            _ => None,
        };
        let said = match near {
            Some((word, near)) => format!("unexpected argument `{word}`; did you mean `{near}`?"),
            None => error.render().to_string(),
        };
        let said = without_keys(&said);
        let said = said.strip_prefix("error: ").unwrap_or(&said).trim_end();
        // The error comes before the usage.
        let wrong = said.split("\n\nUsage:").next().unwrap_or_default();
        let wrong = wrong.split("\n\nFor more").next().unwrap_or_default();
        let lines = wrong.lines().map(str::trim).filter(|line| !line.is_empty());
        let sentence = lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
        Self { whole: format!("error: {said}"), sentence }
    }
}

/// The log format that an unreadable command line asks for: `None` means the default of a start.
/// Other commands write for people, unless JSON is asked for.
#[must_use]
pub fn log_format_of_unread(line: &[OsString]) -> Option<LogFormat> {
    let mut words = line.iter().skip(1).filter_map(|word| word.to_str()).peekable();
    let is_command = |word: &&str| Cli::command().find_subcommand(word).is_some();
    let starts = !words.peek().is_some_and(is_command);
    let mut wanted = None;
    while let Some(word) = words.next().filter(|word| *word != "--") {
        let value = match word.strip_prefix("--log-format") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix('='),
            None => continue,
        };
        wanted = value.and_then(LogFormat::called).or(wanted);
    }
    wanted.or((!starts).then_some(LogFormat::Pretty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_log_format_is_known_where_the_rest_is_not() {
        for (line, format) in [
            ("callgate --bogus --log-format json", Some(LogFormat::Json)),
            ("callgate --log-format=pretty --bogus", Some(LogFormat::Pretty)),
            ("callgate --log-format xml", None),
            ("callgate --log-format", None),
            ("callgate --bogus -- --log-format json", None),
            ("callgate check --bogus", Some(LogFormat::Pretty)),
            ("callgate reload --bogus", Some(LogFormat::Pretty)),
            ("callgate key --bogus", Some(LogFormat::Pretty)),
            ("callgate relaod --bogus", None),
            ("callgate check --bogus --log-format json", Some(LogFormat::Json)),
        ] {
            assert_eq!(log_format_of_unread(&words(line)), format, "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_sentence_without_keys() {
        for (line, sentence) in [
            (
                "callgate --num_wrokers 4",
                "unexpected argument `--num_wrokers`; did you mean `--num_workers`?",
            ),
            (
                "callgate --port sk-live-4f9c2a",
                "invalid value '***' for '--port <PORT>': expected a number from 0 to 65535, found `***`",
            ),
            ("callgate sk-live-4f9c2a", "unrecognized subcommand '***'"),
            (
                "callgate plugin test x.so",
                "the following required arguments were not provided: --request <FILE>",
            ),
        ] {
            let misread = Misread::of(&Cli::try_parse_from(words(line)).unwrap_err());
            assert_eq!(misread.sentence, sentence);
            assert!(!misread.whole.contains("sk-"), "{}", misread.whole);
        }
    }
}
