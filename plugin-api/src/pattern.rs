//! Patterns with `*`, for names of models and keys in settings.

use std::{borrow::Cow, fmt};

/// A pattern in which every `*` stands for any text, also an empty one. A pattern must match the
/// whole text, and case matters. There is no other wildcard and no escape. The gateway uses the
/// same rule for `only.models` (in lower case) and `only.keys` of a callback's entry.
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
    /// The texts around the stars: at least two.
    AroundStars(Box<[Box<str>]>),
}

impl Pattern {
    /// Creates a pattern. Every text is a valid pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.contains('*') {
            return Self(Parts::AroundStars(text.split('*').map(Box::from).collect()));
        }
        Self(Parts::Exact(text.into()))
    }

    /// Returns whether the pattern matches all of `text`. It allocates nothing, and takes time in
    /// proportion to the length of the text, for each `*`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        match &self.0 {
            Parts::Exact(exact) => **exact == *text,
            Parts::AroundStars(parts) => match_around_stars(parts, text),
        }
    }
}

/// Takes the leftmost match of each middle part, which leaves the most text for the later parts.
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

/// Writes the text that the pattern was made from.
impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Parts::Exact(text) => out.write_str(text),
            Parts::AroundStars(parts) => out.write_str(&parts.join("*")),
        }
    }
}

/// Returns a model's name in lower case, for comparisons: servers behind a wildcard may accept
/// names in any case. Only ASCII letters change. Names without capitals are not copied.
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
