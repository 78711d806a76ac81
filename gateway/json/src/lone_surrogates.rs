//! Lone surrogates: escapes such as `\ud83d` without the other half of their pair. JSON allows
//! them, but text cannot hold them. The package `providers` joins halves that an upstream split
//! between two chunks (`surrogate_pairs`).

use super::walk::string_end;
use std::ops::Range;

/// The length of `\ud83d`.
const ESCAPE: usize = 6;

/// A lone surrogate in a value of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoneSurrogate {
    /// The range of its escape.
    pub place: Range<usize>,
    pub is_high: bool,
    /// The range of its text, between the quotes.
    pub text: Range<usize>,
    /// The range of the last name before it, between the quotes.
    pub name: Range<usize>,
}

/// The lone surrogates in the values of a document.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LoneSurrogates {
    pub first: Option<LoneSurrogate>,
    pub last: Option<LoneSurrogate>,
    /// Whether they are in several texts.
    pub scattered: bool,
}

/// The lone surrogates in the values of `json`, which is valid otherwise. Only two are kept,
/// because there may be millions.
pub fn lone_surrogates(json: &[u8]) -> LoneSurrogates {
    let (mut found, mut name, mut at) = (LoneSurrogates::default(), 0..0, 0);
    while let Some(quote) = memchr::memchr(b'"', json.get(at..).unwrap_or_default()) {
        let start = at + quote + 1;
        let Some(end) = string_end(json, start) else { break };
        at = end + 1;
        let text = start..end;
        if json[at..].trim_ascii_start().first() == Some(&b':') {
            name = text;
            continue;
        }
        for (place, is_high) in within(&json[text.clone()]) {
            let place = start + place.start..start + place.end;
            found.add(LoneSurrogate { place, is_high, text: text.clone(), name: name.clone() });
        }
    }
    found
}

/// Whether a string in these bytes of JSON may end with the first half of a pair. Cheap; `false` is
/// always right.
pub fn may_end_in_half(json: &[u8]) -> bool {
    memchr::memchr_iter(b'"', json).any(|quote| {
        let escape = quote.checked_sub(ESCAPE).map(|start| &json[start..quote]);
        matches!(
            escape,
            Some([b'\\', b'u', b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', _, _])
        )
    })
}

impl LoneSurrogates {
    fn add(&mut self, half: LoneSurrogate) {
        let Some(first) = &self.first else {
            self.first = Some(half.clone());
            self.last = Some(half);
            return;
        };
        self.scattered |= first.text != half.text;
        self.last = Some(half);
    }
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

    fn shown(json: &[u8], half: Option<LoneSurrogate>) -> String {
        let text = |range: Range<usize>| String::from_utf8_lossy(&json[range]).into_owned();
        half.map_or_else(String::new, |half| {
            let LoneSurrogate { place, is_high, text: whole, name } = half;
            format!("{} {} {is_high} {}", text(name), text(place), text(whole))
        })
    }

    #[test]
    fn the_first_and_the_last_half_are_found_with_the_name_before_them() {
        for (json, first, last, scattered) in [
            (
                r#"{"a\ud83d":"x\ud83d\ude00\uD83D","b":["\ude00y","\\ud83d"],"c":"\ud83d\n"}"#,
                r"a\ud83d \uD83D true x\ud83d\ude00\uD83D",
                r"c \ud83d true \ud83d\n",
                true,
            ),
            (
                r#"{"a":"\ude00\ud83dx\ud83d"}"#,
                r"a \ude00 false \ude00\ud83dx\ud83d",
                r"a \ud83d true \ude00\ud83dx\ud83d",
                false,
            ),
            (r#"{"a":"\ud83d"#, "", "", false),
            (r#"{"a":"\ud83d\ude00"}"#, "", "", false),
        ] {
            let found = lone_surrogates(json.as_bytes());
            assert_eq!(shown(json.as_bytes(), found.first), first, "{json}");
            assert_eq!(shown(json.as_bytes(), found.last), last, "{json}");
            assert_eq!(found.scattered, scattered, "{json}");
        }
    }

    #[test]
    fn what_ends_in_half_a_pair_is_never_passed_over() {
        for json in [r#"{"a":"x\ud83d"}"#, r#""\uDBff""#, r#"["\uD800","b"]"#] {
            assert!(may_end_in_half(json.as_bytes()), "{json}");
        }
        for json in ["", "\"", r#"{"a":"\ud83dx"}"#, r#""\u0041""#, r#""\udc00""#, r#""d83d""#] {
            assert!(!may_end_in_half(json.as_bytes()), "{json}");
        }
    }
}
