//! What becomes of a key, and the keys of which the same becomes.

use crate::problem::SourceLocation;
use std::fmt;

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does what it does in LiteLLM.
    Honoured,
    /// It does nearly that; the text says what differs.
    Approximated(&'static str),
    /// It is ignored, and nothing is lost; the text says why.
    Harmless(&'static str),
    /// It is ignored; the text says what that means.
    Unsupported(&'static str),
    /// It is ignored, and it protects something, so that it refuses the start.
    Protects {
        /// The consequence of ignoring it.
        effect: &'static str,
        /// What to use here instead.
        instead: &'static str,
    },
    /// Neither LiteLLM nor this gateway has it.
    Unknown,
}

/// As `check` prints it.
impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Honoured => "honoured",
            Self::Approximated(_) => "approximated",
            Self::Harmless(_) => "no effect here",
            Self::Unsupported(_) | Self::Protects { .. } => "not supported",
            Self::Unknown => "unknown",
        })
    }
}

impl Standing {
    /// What is said beside it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Honoured | Self::Unknown => "",
            Self::Approximated(text) | Self::Harmless(text) | Self::Unsupported(text) => text,
            Self::Protects { effect, .. } => effect,
        }
    }
}

/// A key of a config, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedKey {
    /// The location of the key.
    pub place: SourceLocation,
    /// What becomes of it.
    pub standing: Standing,
    /// What is said beside it; may be empty.
    pub text: String,
}

impl ReportedKey {
    pub(crate) fn new(place: SourceLocation, standing: Standing, text: &str) -> Self {
        Self { place, standing, text: text.to_owned() }
    }
}

/// Keys of one standing.
#[derive(Debug)]
pub(crate) struct KeyGroup {
    pub(crate) standing: Standing,
    /// Names, separated by blanks.
    names: &'static str,
}

pub(super) const fn group(standing: Standing, names: &'static str) -> KeyGroup {
    KeyGroup { standing, names }
}

impl KeyGroup {
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.names.split_ascii_whitespace()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.names().any(|name| fits(name, key))
    }
}

/// Whether `key` is the name, whose first and last `*` stand for any text.
fn fits(name: &str, key: &str) -> bool {
    match (name.strip_prefix('*'), name.strip_suffix('*')) {
        (Some(_), Some(_)) => key.contains(name.trim_matches('*')),
        (Some(end), None) => key.ends_with(end),
        (None, Some(start)) => key.starts_with(start),
        (None, None) => name == key,
    }
}
