//! The text and finish reason of a reply's first choice. They are read from the bytes, and the text
//! is decoded into the one string that keeps it: a tree, or a copy of each text on the way, would
//! take a multiple of a large reply.

use super::other_chunks;
use callgate_json::{decode_text, slices};
use std::ops::Range;

/// The text and finish reason of a reply: collected from a stream if a hook will want them, read
/// from a JSON reply when a hook asks.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct StreamedText {
    pub text: String,
    pub(crate) finish_reason: Option<String>,
    /// The bytes of text beyond the limit.
    pub left_out: usize,
}

impl StreamedText {
    /// Adds the first choice of a chunk or a whole reply.
    pub fn add(&mut self, json: &[u8]) {
        self.add_within(json, usize::MAX);
    }

    /// The same, but keeps at most `limit` bytes of text in all.
    pub fn add_within(&mut self, json: &[u8], limit: usize) {
        let Some(choices) = slices::member(json, "choices") else {
            return self.add_other(json, limit);
        };
        for choice in slices::elements(choices).filter_map(part_of_first_choice) {
            for text in choice.content.into_iter().flat_map(texts) {
                self.text.reserve(text.len().min(limit.saturating_sub(self.text.len())));
                decode_text(text, |piece| self.add_text(piece, limit));
            }
            self.finish_reason =
                choice.finish_reason.and_then(read_text).or(self.finish_reason.take());
        }
    }

    /// The same for an answer of another kind of call, or a part of one.
    fn add_other(&mut self, json: &[u8], limit: usize) {
        for text in other_chunks::texts_of(json) {
            decode_text(text, |piece| self.add_text(piece, limit));
        }
        let reason = other_chunks::finish_reason(json).and_then(read_text);
        self.finish_reason = reason.or(self.finish_reason.take());
    }

    /// Adds the text that follows this one, within the same limit.
    pub fn append(&mut self, next: &Self, limit: usize) {
        self.add_text(&next.text, limit);
        self.left_out += next.left_out;
        if next.finish_reason.is_some() {
            self.finish_reason.clone_from(&next.finish_reason);
        }
    }

    fn add_text(&mut self, text: &str, limit: usize) {
        let kept = match self.left_out {
            0 => within(text, limit - self.text.len().min(limit)),
            // Text after a gap would seem to follow the text before it.
            _ => "",
        };
        self.text.push_str(kept);
        self.left_out += text.len() - kept.len();
    }
}

/// One element of a document's `choices` that belongs to the first choice. Of several members with
/// the same name the last counts.
#[derive(Debug, Default)]
struct Part<'a> {
    content: Option<&'a [u8]>,
    finish_reason: Option<&'a [u8]>,
}

/// The parts of a document's first choice; usually one element.
fn parts_of_first_choice(json: &[u8]) -> impl Iterator<Item = Part<'_>> {
    let choices = slices::member(json, "choices").unwrap_or_default();
    slices::elements(choices).filter_map(part_of_first_choice)
}

fn part_of_first_choice(choice: &[u8]) -> Option<Part<'_>> {
    let (mut delta, mut message, mut text) = (None, None, None);
    let mut part = Part::default();
    let mut is_first = true;
    for (name, value) in slices::members(choice) {
        if name.is("index") {
            is_first = value == b"0";
        } else if name.is("delta") {
            delta = Some(value);
        } else if name.is("message") {
            message = Some(value);
        } else if name.is("finish_reason") {
            part.finish_reason = Some(value);
        } else if name.is("text") {
            text = Some(value);
        }
    }
    part.content = match delta.or(message) {
        Some(said) => slices::member(said, "content"),
        None => text,
    };
    is_first.then_some(part)
}

/// The finish reason; the last one counts.
pub(super) fn end_of_first_choice(json: &[u8]) -> Option<String> {
    let of_choices =
        || parts_of_first_choice(json).filter_map(|part| read_text(part.finish_reason?)).last();
    of_choices().or_else(|| read_text(other_chunks::finish_reason(json)?))
}

/// The place of the first choice's text, if it is one string without escapes.
pub(super) fn plain_text(json: &[u8]) -> Option<Range<usize>> {
    let mut parts = parts_of_first_choice(json);
    let (Some(part), None) = (parts.next(), parts.next()) else { return None };
    let text = part.content?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    if text.contains(&b'\\') {
        return None;
    }
    let start = text.as_ptr() as usize - json.as_ptr() as usize;
    Some(start..start + text.len())
}

/// The strings of a content: itself, or the texts of a list of parts.
pub(super) fn texts(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    let own = (content.first() == Some(&b'"')).then_some(content);
    let parts = slices::elements(content).filter_map(|part| slices::member(part, "text"));
    own.into_iter().chain(parts)
}

fn read_text(json: &[u8]) -> Option<String> {
    let mut text = (json.first() == Some(&b'"')).then(String::new)?;
    decode_text(json, |piece| text.push_str(piece));
    Some(text)
}

/// The text cut to at most `bytes` bytes, at a character boundary.
pub(crate) fn within(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}
