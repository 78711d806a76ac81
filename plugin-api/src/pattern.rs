//! Texts with `*`, as settings have them for names of models and keys.

use std::{borrow::Cow, fmt};

/// A text in which every `*` stands for any text, the empty one too.
///
/// All of a text has to match, and case counts. There is no other wildcard and no escape. The
/// gateway reads `only.models` and `only.keys` of a callback's entry by the same rule.
///
/// ```
/// use plugin_api::Pattern;
///
/// let cloud = Pattern::new("*:cloud");
/// assert!(cloud.matches("gpt-oss:cloud"));
/// assert!(!cloud.matches("gpt-oss:20b"));
/// assert!(Pattern::new("gpt-*-mini").matches("gpt-4o-mini"));
/// assert!(!Pattern::new("gemma3").matches("gemma3:4b"));
/// assert_eq!(cloud.to_string(), "*:cloud");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Parts);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Parts {
    Exact(Box<str>),
    /// The texts around the stars; at least two.
    AroundStars(Box<[Box<str>]>),
}

impl Pattern {
    /// The pattern that `text` writes down; every text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.contains('*') {
            return Self(Parts::AroundStars(text.split('*').map(Box::from).collect()));
        }
        Self(Parts::Exact(text.into()))
    }

    /// Whether the pattern covers all of `text`. Takes no memory, and time in proportion to the
    /// text for each `*`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Parts::Exact(exact) => **exact == *text,
            Parts::AroundStars(parts) => match_around_stars(parts, text),
        }
    }
}

/// Taking the leftmost place for each middle part leaves the most text for those behind it.
fn match_around_stars(parts: &[Box<str>], text: &str) -> bool {
    let [first, middle @ .., last] = parts else { return false };
    let Some(text) = text.strip_prefix(&**first) else { return false };
    let Some(mut text) = text.strip_suffix(&**last) else { return false };
    for part in middle {
        match text.find(&**part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// The text it was made of.
impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Parts::Exact(text) => out.write_str(text),
            Parts::AroundStars(parts) => out.write_str(&parts.join("*")),
        }
    }
}

/// A model's name for comparison: servers behind a wildcard may take it in any case.
///
/// ```
/// assert_eq!(plugin_api::in_lower_case("Gemma3:4B"), "gemma3:4b");
/// ```
#[must_use]
pub fn in_lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("groq", "groq", true),
            ("groq", "groq2", false),
            ("groq", "Groq", false),
            ("", "", true),
            ("", "x", false),
            ("*", "", true),
            ("*", "anything", true),
            ("groq-*", "groq-", true),
            ("groq-*", "my-groq-x", false),
            ("*:cloud", "gpt-oss:cloud", true),
            ("*:cloud", "gpt-oss:cloud2", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-bb-c", true),
            ("a*b*c", "ac", false),
            ("*ab*ab*", "ab-ab", true),
            ("*ab*ab*", "aab", false),
            ("**", "x", true),
            ("gr*oq*q", "groq", false),
            ("ß*", "ßx", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
            assert_eq!(Pattern::new(pattern).to_string(), pattern);
        }
    }

    #[test]
    fn only_names_with_capitals_are_copied() {
        assert!(matches!(in_lower_case("gemma3"), Cow::Borrowed("gemma3")));
        assert_eq!(in_lower_case("Gemma3-É"), "gemma3-É");
    }
}
