//! Recognises the rest of a key where a text was cut: at least its first or last half.

use std::ops::Range;

/// A shorter piece reveals little of a key, and could be a common name at its beginning.
const SHORTEST: usize = 12;

/// One half of a key, with the other half.
#[derive(Debug)]
pub(super) struct KeyFragment {
    key: Box<str>,
    part: Range<usize>,
}

impl KeyFragment {
    /// Both halves, each extended until it looks like a key by itself. A common beginning such as
    /// `my-company-` does not.
    pub(super) fn both(key: &str) -> impl Iterator<Item = Self> {
        let shortest = (key.len() / 2).max(SHORTEST);
        // ASCII can be cut anywhere. A text with blanks is more than the key itself (`Bearer …`).
        let is_plain = key.bytes().all(|byte| byte.is_ascii_graphic());
        let lengths = if is_plain { shortest..key.len() } else { 0..0 };
        let is_key = |part: &Range<usize>| {
            let part = key[part.clone()].as_bytes();
            part.iter().any(u8::is_ascii_digit) && part.iter().any(u8::is_ascii_alphabetic)
        };
        let first = lengths.clone().map(|length| 0..length).find(is_key);
        let last = lengths.map(|length| key.len() - length..key.len()).find(is_key);
        first.into_iter().chain(last).map(|part| Self { key: key.into(), part })
    }

    pub(super) fn text(&self) -> &str {
        &self.key[self.part.clone()]
    }

    /// The longest part of the key in `text` around this half.
    pub(super) fn grown(&self, text: &str, found: Range<usize>) -> Range<usize> {
        let (text, key) = (text.as_bytes(), self.key.as_bytes());
        let same = |(one, other): &(&u8, &u8)| one.eq_ignore_ascii_case(other);
        let behind = text[found.end..].iter().zip(&key[self.part.end..]).take_while(same).count();
        let before = text[..found.start].iter().rev();
        let before = before.zip(key[..self.part.start].iter().rev()).take_while(same).count();
        found.start - before..found.end + behind
    }
}
