//! Translated chunks that are not sent yet: frames, and chunks that callbacks have to see first.

use bytes::BytesMut;
use callgate_callbacks::{ChunkQueue, StreamedText};
use callgate_json::{passed, slices};
use callgate_providers::{ChunkSink, CompletionBuilder};
use std::string::FromUtf8Error;

/// Translated chunks that are not sent yet.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) frames: BytesMut,
    /// Chunks that callbacks have to see first.
    pub(super) unseen: ChunkQueue,
    pub(super) for_callbacks: bool,
    /// Events have names, which are the `type` of their data.
    pub(super) are_named: bool,
    /// The text that callbacks will read at the end.
    pub(super) streamed: Option<StreamedText>,
    /// The completion that callbacks will read at the end, if one asks for it.
    pub(super) assembled: Option<Box<CompletionBuilder>>,
    /// The most text kept for them.
    pub(super) text_limit: usize,
}

impl ChunkSink for Outbox {
    fn chunk(&mut self, json: &[&[u8]]) {
        if self.for_callbacks {
            let lossy =
                |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
            self.unseen.push(String::from_utf8(json.concat()).unwrap_or_else(lossy));
            return;
        }
        if self.are_named
            && let [json] = json
        {
            self.add_name(type_of(json));
        }
        self.add_data(json);
    }

    fn event(&mut self, name: &[u8], json: &[&[u8]]) {
        if self.for_callbacks {
            return self.chunk(json);
        }
        self.add_name(name);
        self.add_data(json);
    }
}

impl Outbox {
    fn add_name(&mut self, name: &[u8]) {
        if !name.is_empty() {
            for part in [b"event: ", name, b"\n"] {
                self.frames.extend_from_slice(part);
            }
        }
    }

    fn add_data(&mut self, json: &[&[u8]]) {
        let start = self.frames.len() + b"data: ".len();
        self.frames.extend_from_slice(b"data: ");
        json.iter().for_each(|part| self.frames.extend_from_slice(part));
        keep_on_one_line(&mut self.frames[start..]);
        if let Some(streamed) = &mut self.streamed {
            streamed.add_within(&self.frames[start..], self.text_limit);
        }
        if let Some(assembled) = &mut self.assembled {
            assembled.chunk(&[&self.frames[start..]]);
        }
        self.frames.extend_from_slice(b"\n\n");
    }
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty() && self.unseen.is_empty()
    }

    /// An empty outbox of the same kind, to be merged into this one.
    pub(super) fn another(&mut self) -> Self {
        let streamed = self.streamed.as_ref().map(|_| StreamedText::default());
        Self {
            for_callbacks: self.for_callbacks,
            are_named: self.are_named,
            text_limit: self.text_limit,
            streamed,
            assembled: self.assembled.take(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        if self.frames.is_empty() {
            self.frames = other.frames;
        } else {
            self.frames.extend_from_slice(&other.frames);
        }
        self.unseen.append(other.unseen);
        self.assembled = other.assembled.or(self.assembled.take());
        if let (Some(streamed), Some(more)) = (&mut self.streamed, &other.streamed) {
            streamed.append(more, self.text_limit);
        }
    }
}

/// The `type` of an event; empty if it has none that could be a name.
fn type_of(json: &[u8]) -> &[u8] {
    let text = slices::member(json, "type").unwrap_or_default();
    let name = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    name.filter(|name| !name.contains(&b'\\')).unwrap_or_default()
}

/// Replaces line breaks, which would end the event's `data` line. In valid JSON they occur only
/// between values, where a blank means the same.
fn keep_on_one_line(mut json: &mut [u8]) {
    loop {
        let found = memchr::memchr2(b'\n', b'\r', json);
        passed::add(found.map_or(json.len(), |at| at + 1));
        let Some((end, rest)) = found.and_then(|at| json[at..].split_first_mut()) else { return };
        *end = b' ';
        json = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_become_blanks_in_one_pass() {
        for (json, expected) in
            [("", ""), ("{}", "{}"), ("\n", " "), ("{\n\r\n\"a\":\r1}\n", "{   \"a\": 1} ")]
        {
            let mut json = json.to_owned().into_bytes();
            keep_on_one_line(&mut json);
            assert_eq!(String::from_utf8_lossy(&json), expected);
        }
        for length in [1000, 2000] {
            let before = callgate_json::passed::steps();
            keep_on_one_line(&mut vec![b'\n'; length]);
            assert_eq!(callgate_json::passed::steps() - before, length as u64);
        }
    }
}
