//! Lone surrogates: escapes such as `\ud83d` without the other half of their pair. JSON allows
//! them, but text cannot hold them. The package `providers` joins halves that an upstream split
//! between two chunks (`surrogate_pairs`).

use super::walk::string_end;
use std::{borrow::Cow, ops::Range};

/// The length of `\ud83d`.
const ESCAPE: usize = 6;

/// A lone surrogate in a value of a document.
#[derive(Debug, PartialEq, Eq)]
pub struct LoneSurrogate {
    /// The range of its escape.
    pub place: Range<usize>,
    pub is_high: bool,
    /// The range of its text, between the quotes.
    pub text: Range<usize>,
    /// The range of the last name before it, between the quotes.
    pub name: Range<usize>,
}

/// The lone surrogates in the values of `json`, which is valid otherwise.
pub fn lone_surrogates(json: &[u8]) -> Vec<LoneSurrogate> {
    let (mut found, mut name, mut at) = (Vec::new(), 0..0, 0);
    while let Some(quote) = memchr::memchr(b'"', json.get(at..).unwrap_or_default()) {
        let start = at + quote + 1;
        let Some(end) = string_end(json, start) else { break };
        at = end + 1;
        let text = start..end;
        if json[at..].trim_ascii_start().first() == Some(&b':') {
            name = text;
            continue;
        }
        let half = |(place, is_high): (Range<usize>, bool)| {
            let place = start + place.start..start + place.end;
            LoneSurrogate { place, is_high, text: text.clone(), name: name.clone() }
        };
        found.extend(within(&json[text.clone()]).map(half));
    }
    found
}

/// A JSON text, quotes included, with U+FFFD in place of lone surrogates.
pub fn without_lone_surrogates(text: &[u8]) -> Cow<'_, [u8]> {
    let (mut whole, mut from) = (Vec::new(), 0);
    for (place, _) in within(text) {
        whole.extend_from_slice(&text[from..place.start]);
        whole.extend_from_slice(br"\ufffd");
        from = place.end;
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    whole.extend_from_slice(&text[from..]);
    Cow::Owned(whole)
}

/// The lone surrogates of one text.
fn within(text: &[u8]) -> impl Iterator<Item = (Range<usize>, bool)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + memchr::memchr(b'\\', text.get(at..)?)?;
            let Some(unit) = surrogate(text, start) else {
                at = start + 2;
                continue;
            };
            at = start + ESCAPE;
            match (unit, surrogate(text, at)) {
                (Unit::High, Some(Unit::Low)) => at += ESCAPE,
                (unit, _) => return Some((start..at, unit == Unit::High)),
            }
        }
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    High,
    Low,
}

/// The surrogate that is written at `start`, if any.
fn surrogate(text: &[u8], start: usize) -> Option<Unit> {
    let escape = text.get(start..start + ESCAPE)?;
    let digits = std::str::from_utf8(escape.strip_prefix(br"\u")?).ok()?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..0xDC00 => Some(Unit::High),
        0xDC00..0xE000 => Some(Unit::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_found_with_the_name_before_them() {
        let json = br#"{"a\ud83d":"x\ud83d\ude00\uD83D","b":["\ude00y","\\ud83d"],"c":"\ud83d\n"}"#;
        let text = |range: &Range<usize>| std::str::from_utf8(&json[range.clone()]).unwrap();
        let found: Vec<_> = lone_surrogates(json)
            .iter()
            .map(|half| {
                (text(&half.name), text(&half.place), half.is_high, text(&half.text).to_owned())
            })
            .map(|(name, place, is_high, text)| format!("{name} {place} {is_high} {text}"))
            .collect();
        assert_eq!(
            found,
            [
                r"a\ud83d \uD83D true x\ud83d\ude00\uD83D",
                r"b \ude00 false \ude00y",
                r"c \ud83d true \ud83d\n"
            ]
        );
        assert_eq!(lone_surrogates(br#"{"a":"\ud83d"#), []);
    }

    #[test]
    fn halves_are_replaced_and_pairs_are_not() {
        for (text, expected) in [
            (r#""a""#, "\"a\""),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud83d""#, r#""\ufffd""#),
            (r#""\ud83d\ud83d\ude00\ude00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""\\ud83d\u""#, r#""\\ud83d\u""#),
        ] {
            assert_eq!(without_lone_surrogates(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }
}
