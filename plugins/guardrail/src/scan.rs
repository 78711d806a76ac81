//! Finds strings, values and members in JSON that the gateway has already validated.

use crate::withheld::Withheld;
use std::{borrow::Cow, ops::Range};

/// A member's name, and the place of its value.
pub(crate) type Member<'a> = (Cow<'a, str>, Range<usize>);

/// Returns the members of an object, or an error if there are more than `most`.
pub(crate) fn members(json: &str, most: usize) -> Result<Vec<Member<'_>>, Withheld> {
    let bytes = json.as_bytes();
    let mut members = Vec::new();
    let mut at = skip_space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return Err(Withheld::Unreadable);
    }
    loop {
        at = skip_space(bytes, at + 1);
        match bytes.get(at) {
            Some(b'}') if members.is_empty() => return Ok(members),
            Some(b'"') if members.len() < most => {}
            _ => return Err(Withheld::Unreadable),
        }
        let end = string_end(bytes, at + 1).ok_or(Withheld::Unreadable)?;
        let name = decoded(&json[at..end])?;
        at = skip_space(bytes, end);
        if bytes.get(at) != Some(&b':') {
            return Err(Withheld::Unreadable);
        }
        at = skip_space(bytes, at + 1);
        let end = value_end(bytes, at).ok_or(Withheld::Unreadable)?;
        members.push((name, at..end));
        at = skip_space(bytes, end);
        match bytes.get(at) {
            Some(b'}') => return Ok(members),
            Some(b',') => {}
            _ => return Err(Withheld::Unreadable),
        }
    }
}

/// Returns the places of an array's elements.
pub(crate) fn elements(json: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = json.as_bytes();
    let mut at = skip_space(bytes, 0) + 1;
    std::iter::from_fn(move || {
        at = skip_space(bytes, at);
        if bytes.get(at) == Some(&b',') {
            at = skip_space(bytes, at + 1);
        }
        if matches!(bytes.get(at)?, b']' | b'}' | b':') {
            return None;
        }
        let start = at;
        at = value_end(bytes, start)?;
        Some(start..at)
    })
}

pub(crate) fn decoded(json: &str) -> Result<Cow<'_, str>, Withheld> {
    if json.as_bytes().contains(&b'\\') {
        return serde_json::from_str(json).map(Cow::Owned).map_err(|_| Withheld::Unreadable);
    }
    let text = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    text.map(Cow::Borrowed).ok_or(Withheld::Unreadable)
}

pub(crate) fn skip_space(text: &[u8], at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    text.len() - rest.trim_ascii_start().len()
}

pub(crate) fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

/// Returns the place after the closing quote of a string whose content begins at `at`.
pub(crate) fn string_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

pub(crate) fn value_end(text: &[u8], mut at: usize) -> Option<usize> {
    let (start, mut depth) = (at, 0_usize);
    loop {
        let Some(byte) = text.get(at) else {
            return (depth == 0 && at > start).then_some(at);
        };
        match byte {
            b'"' => {
                at = string_end(text, at + 1)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return (depth == 1).then_some(at + 1),
            b'}' | b']' => depth -= 1,
            b',' | b' ' | b'\n' | b'\r' | b'\t' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(text.get(at), Some(b'}' | b']')) {
            return Some(at);
        }
    }
}
