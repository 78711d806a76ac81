//! Replaces the text in a message's content and keeps everything else.

use callgate_json::{json_text, walk};
use std::ops::Range;

/// The bytes around a text that is added where none was.
const ROOM: usize = 64;

/// The message with `text` as its content. In a list of parts, the first part with a text gets it,
/// further parts with a text are removed, and all others stay.
pub(super) fn content(message: &str, text: &str) -> Vec<u8> {
    let text = json_text(text);
    let mut edits = Edits {
        source: message,
        done: Vec::with_capacity(message.len() + text.len() + ROOM),
        at: 0,
    };
    match walk::member(message, "content").map(|member| member.value) {
        Some(place) if message[place.clone()].starts_with('[') => parts(&mut edits, place, &text),
        Some(place) => edits.put(place, &text),
        None => {
            let end = message.trim_ascii_end().len().saturating_sub(1);
            let first = walk::members(message).is_none_or(|mut members| members.next().is_none());
            let comma: &[u8] = if first { b"" } else { b"," };
            edits.put(end..end, &[comma, b"\"content\":", &text].concat());
        }
    }
    edits.finish()
}

fn parts(edits: &mut Edits<'_>, place: Range<usize>, text: &[u8]) {
    let source = edits.source;
    let array = &source[place.clone()];
    let has_text = |part: &Range<usize>| part_text(&array[part.clone()]).is_some();
    let parts = || walk::elements(array).into_iter().flatten().map(|part| part.value);
    if !parts().any(|part| has_text(&part)) {
        let start = place.start + 1;
        let comma: &[u8] = if parts().next().is_some() { b"," } else { b"" };
        edits.put(start..start, &[b"{\"type\":\"text\",\"text\":", text, b"}", comma].concat());
        return;
    }
    let (mut given, mut end) = (false, 0);
    for part in parts() {
        let in_source = |range: Range<usize>| place.start + range.start..place.start + range.end;
        if has_text(&part) {
            if given {
                // The comma before the part is removed, too, because a kept part always comes
                // earlier.
                edits.put(in_source(end..part.end), b"");
            } else {
                let json = &array[part.clone()];
                let slot = match walk::member(json, "text") {
                    Some(member) => part.start + member.value.start..part.start + member.value.end,
                    None => part.clone(),
                };
                edits.put(in_source(slot), text);
            }
            given = true;
        }
        end = part.end;
    }
}

/// A text and the replacements in it, from left to right.
struct Edits<'a> {
    source: &'a str,
    done: Vec<u8>,
    at: usize,
}

impl Edits<'_> {
    fn put(&mut self, place: Range<usize>, json: &[u8]) {
        self.done.extend_from_slice(&self.source.as_bytes()[self.at..place.start]);
        self.done.extend_from_slice(json);
        self.at = place.end;
    }

    fn finish(mut self) -> Vec<u8> {
        self.done.extend_from_slice(&self.source.as_bytes()[self.at..]);
        self.done
    }
}

/// The JSON of a part's text, whatever the part's type, because an upstream may read any text.
pub(super) fn part_text(part: &str) -> Option<&str> {
    if part.starts_with('"') {
        return Some(part);
    }
    walk::value(part, "text").filter(|text| text.starts_with('"'))
}
