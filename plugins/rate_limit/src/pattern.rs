//! Text in which `*` stands for any text, the empty one too.

use std::{borrow::Cow, fmt};

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    Exact(Box<str>),
    /// The texts around the stars; at least two.
    Stars(Box<[Box<str>]>),
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        if text.contains('*') {
            return Self::Stars(text.split('*').map(Box::from).collect());
        }
        Self::Exact(text.into())
    }

    pub(crate) fn takes_in(&self, text: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *text,
            Self::Stars(parts) => between_stars(parts, text),
        }
    }
}

/// Upstreams behind a wildcard may take a model's name in any case.
pub(crate) fn in_lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
}

/// Taking the leftmost place for each middle part leaves the most text for those behind it.
fn between_stars(parts: &[Box<str>], text: &str) -> bool {
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

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => out.write_str(text),
            Self::Stars(parts) => out.write_str(&parts.join("*")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        let cases = [
            ("groq", "groq", true),
            ("groq", "groq2", false),
            ("", "", true),
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
            ("ß*", "ßx", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(Pattern::new(pattern).takes_in(text), expected, "{pattern} {text}");
            assert_eq!(Pattern::new(pattern).to_string(), pattern);
        }
    }
}
