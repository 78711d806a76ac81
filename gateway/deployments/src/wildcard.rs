//! Model names with a `*`: their matches, and which of several is the most specific.
//!
//! As in LiteLLM, and unlike in settings (`plugin_api::Pattern`), only the first `*` counts, and
//! its match is inserted into the upstream's model name.

use std::fmt;

/// `before*after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    before: Box<str>,
    after: Box<str>,
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.before, self.after)
    }
}

impl Wildcard {
    /// `None` for a name without `*`. Only the first `*` is a wildcard.
    pub(super) fn new(name: &str) -> Option<Self> {
        let (before, after) = name.split_once('*')?;
        Some(Self { before: before.into(), after: after.into() })
    }

    /// The text that `*` stands for, if `name` matches. May be empty.
    pub(super) fn capture<'n>(&self, name: &'n str) -> Option<&'n str> {
        name.strip_prefix(&*self.before)?.strip_suffix(&*self.after)
    }

    /// More literal text is more specific; if equal, the longer beginning.
    pub(super) fn specificity(&self) -> (usize, usize) {
        (self.before.len() + self.after.len(), self.before.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Wildcard;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: Option<&str>) {
        assert_eq!(Wildcard::new(pattern).unwrap().capture(name), expected, "{pattern} {name}");
    }

    #[test]
    fn the_star_captures_what_it_covers() {
        check("*", "groq/foo", Some("groq/foo"));
        check("my/*", "my/foo", Some("foo"));
        check("my/*", "my/", Some(""));
        check("my/*", "My/foo", None);
        check("gpt-*-mini", "gpt-4o-mini", Some("4o"));
        check("aba*ba", "aba", None);
        assert_eq!(Wildcard::new("plain"), None);
    }
}
