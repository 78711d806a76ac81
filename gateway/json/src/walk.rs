//! Walks through scanned JSON text without a tree: the members of an object, the elements of an
//! array, a value by its path.
//!
//! The text must be valid JSON: it was scanned, or it is a callback's checked text. Invalid text
//! ends a walk early, but never panics. Nothing is copied, and the cost is proportional to the
//! bytes visited.

use super::{passed, scan::Member};
use memchr::memchr2;
use std::{borrow::Cow, ops::Range};

/// The members of an object or the elements of an array, in order.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    object: bool,
}

/// A walk through `text`, if it is an object or an array.
pub(crate) fn walk(text: &str) -> Option<Walk<'_>> {
    of(text.as_bytes())
}

/// As [`walk`], through bytes.
pub(super) fn of(text: &[u8]) -> Option<Walk<'_>> {
    let at = skip_space(text, 0);
    let object = match text.get(at)? {
        b'{' => true,
        b'[' => false,
        _ => return None,
    };
    Some(Walk { text, at: at + 1, object })
}

/// A walk through `text`, if it is an object.
pub fn members(text: &str) -> Option<Walk<'_>> {
    walk(text).filter(|walk| walk.object)
}

/// A walk through `text`, if it is an array.
pub fn elements(text: &str) -> Option<Walk<'_>> {
    walk(text).filter(|walk| !walk.object)
}

impl Walk<'_> {
    pub(crate) fn is_object(&self) -> bool {
        self.object
    }

    /// The text after the last walked member or element.
    pub(super) fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }
}

impl Iterator for Walk<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let mut at = skip_space(self.text, self.at);
        if self.text.get(at) == Some(&b',') {
            at = skip_space(self.text, at + 1);
        }
        let (mut name, mut escaped) = (0..0, false);
        match self.text.get(at)? {
            b'}' | b']' => return None,
            b'"' if self.object => {
                let end;
                (end, escaped) = name_end(self.text, at + 1)?;
                name = at + 1..end;
                at = skip_space(self.text, end + 1);
                if self.text.get(at) != Some(&b':') {
                    return None;
                }
                at = skip_space(self.text, at + 1);
            }
            _ if self.object => return None,
            _ => {}
        }
        let end = value_end(self.text, at)?;
        passed::add(end - self.at);
        self.at = end;
        Some(Member { name, escaped, value: at..end })
    }
}

/// The text of a member's name.
pub fn name_of<'a>(text: &'a str, member: &Member) -> Cow<'a, str> {
    let name = text.get(member.name.clone()).unwrap_or_default();
    if !member.escaped {
        return Cow::Borrowed(name);
    }
    let quoted = text.get(member.name.start.saturating_sub(1)..member.name.end + 1);
    quoted.map(decoded).unwrap_or_default()
}

/// The last member of this name, because the last one counts, as at the top level.
pub fn member(object: &str, name: &str) -> Option<Member> {
    let same = |member: &Member| {
        (member.escaped || member.name.len() == name.len()) && name_of(object, member) == name
    };
    members(object)?.filter(same).last()
}

/// The value of the last member of this name.
pub fn value<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    object.get(member(object, name)?.value)
}

/// A member or an element, by one step of a path.
pub fn child(text: &str, step: &str) -> Option<Member> {
    if walk(text)?.is_object() {
        return member(text, step);
    }
    elements(text)?.nth(step.parse().ok()?)
}

/// The range of the value at a dotted path.
pub fn find(text: &str, path: &str) -> Option<Range<usize>> {
    let mut place = 0..text.len();
    for step in path.split('.') {
        let value = child(text.get(place.clone())?, step)?.value;
        place = place.start + value.start..place.start + value.end;
    }
    Some(place)
}

/// A JSON string's text; empty for any other value.
pub fn decoded(json: &str) -> Cow<'_, str> {
    match plain(json) {
        Some(text) => Cow::Borrowed(text),
        None => Cow::Owned(serde_json::from_str(json).unwrap_or_default()),
    }
}

/// The text between the quotes of a JSON string without escapes.
pub fn plain(json: &str) -> Option<&str> {
    let text = json.strip_prefix('"')?.strip_suffix('"')?;
    memchr::memchr(b'\\', text.as_bytes()).is_none().then_some(text)
}

#[inline]
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// The closing quote of a string whose content begins at `at`.
#[inline]
pub fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let stop = at + memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[stop] == b'"' {
            return Some(stop);
        }
        at = stop + 2;
    }
}

/// As [`string_end`], for a name, which is usually short; also returns whether it has escapes.
#[inline]
pub(super) fn name_end(text: &[u8], start: usize) -> Option<(usize, bool)> {
    let mut at = start;
    loop {
        match text.get(at)? {
            b'"' => return Some((at, false)),
            b'\\' => return Some((string_end(text, at)?, true)),
            _ => at += 1,
        }
    }
}

/// The end of the value that begins at `at`.
pub(crate) fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match text.get(at)? {
            b'"' => at = string_end(text, at + 1)?,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ if depth == 0 => return Some(scalar_end(text, at)),
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

fn scalar_end(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
    at + rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
pub(super) mod tests;
