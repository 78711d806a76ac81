//! The parts of a chunk's JSON that hooks read and edit: its first choice and that choice's text.
//! They are read and replaced in the bytes, because a tree would take a multiple of a large chunk.
//! Chunks of other kinds of calls than completions are in `other_chunks`.

use super::{
    object::{is_object, with_member},
    other_chunks,
    streamed_text::texts,
};
use callgate_json::{decode_text, json_text, slices};

/// The first choice that a chunk lists. Of several members with the same name the last counts.
#[derive(Debug, Default)]
struct ListedChoice<'a> {
    index: Option<&'a [u8]>,
    delta: Option<&'a [u8]>,
    message: Option<&'a [u8]>,
    finish_reason: Option<&'a [u8]>,
    /// The text of a completion that is no chat.
    text: Option<&'a [u8]>,
}

impl<'a> ListedChoice<'a> {
    fn of(chunk: &'a [u8]) -> Option<Self> {
        let choice = slices::elements(slices::member(chunk, "choices")?).next()?;
        let mut listed = Self::default();
        for (name, value) in slices::members(choice) {
            if name.is("index") {
                listed.index = Some(value);
            } else if name.is("delta") {
                listed.delta = Some(value);
            } else if name.is("message") {
                listed.message = Some(value);
            } else if name.is("finish_reason") {
                listed.finish_reason = Some(value);
            } else if name.is("text") {
                listed.text = Some(value);
            }
        }
        is_object(choice).then_some(listed)
    }

    fn content(&self) -> Option<&'a [u8]> {
        match self.delta.or(self.message) {
            Some(said) => slices::member(said, "content"),
            None => self.text,
        }
    }
}

fn content(chunk: &[u8]) -> Option<&[u8]> {
    match ListedChoice::of(chunk) {
        Some(choice) => choice.content(),
        None => other_chunks::text(chunk),
    }
}

/// The text that the chunk adds to the choice.
pub(super) fn text(chunk: &[u8]) -> String {
    let mut text = String::new();
    let content = content(chunk);
    for part in content.into_iter().flat_map(texts) {
        text.reserve(part.len());
        decode_text(part, |piece| text.push_str(piece));
    }
    text
}

/// The choice's index; 0 if the chunk does not say.
pub(super) fn choice(chunk: &[u8]) -> Option<u64> {
    let index = match ListedChoice::of(chunk) {
        Some(choice) => choice.index,
        None => return other_chunks::block(chunk),
    };
    let number = index.and_then(|index| std::str::from_utf8(index).ok()?.parse().ok());
    Some(number.unwrap_or_default())
}

/// Whether the choice has a text, which may be empty.
pub(super) fn has_text(chunk: &[u8]) -> bool {
    let content = content(chunk);
    content.is_some_and(|content| matches!(content.first(), Some(b'"' | b'[')))
}

/// Whether no text that was held back may come after the chunk: it ends the choice, or calls a
/// tool.
pub(super) fn ends_text(chunk: &[u8]) -> bool {
    let Some(choice) = ListedChoice::of(chunk) else { return other_chunks::ends_text(chunk) };
    let called = choice.delta.and_then(|delta| slices::member(delta, "tool_calls"));
    choice.finish_reason.is_some_and(|reason| reason != b"null")
        || called.is_some_and(|calls| slices::elements(calls).next().is_some())
}

/// Whether the chunk says nothing but its text.
pub(super) fn is_only_text(chunk: &[u8]) -> bool {
    let says = |object, known: &[&str]| {
        let unknown = |name: slices::Name<'_>| !known.iter().any(|known| name.is(known));
        slices::members(object).any(|(name, value)| unknown(name) && value != b"null")
    };
    let Some(choices) = slices::member(chunk, "choices") else {
        return other_chunks::text(chunk).is_some();
    };
    let mut listed = slices::elements(choices);
    let (Some(choice), None) = (listed.next(), listed.next()) else { return false };
    let delta = slices::member(choice, "delta").unwrap_or_default();
    let usage = slices::member(chunk, "usage").is_some_and(is_object);
    !usage && !says(choice, &["index", "delta", "text"]) && !says(delta, &["content"])
}

/// A chunk of the same stream that adds this text to the same choice.
pub(super) fn another(chunk: &[u8], text: &str) -> Option<String> {
    let Some(listed) = ListedChoice::of(chunk) else {
        return other_chunks::with_text(chunk, text);
    };
    let choice = choice(chunk)?;
    let mut out = vec![b'{'];
    for (name, value) in slices::members(chunk) {
        if !["choices", "usage"].iter().any(|own| name.is(own)) {
            for part in [b"\"", name.json(), b"\":", value, b","] {
                out.extend_from_slice(part);
            }
        }
    }
    let index = choice.to_string();
    let [between, after] = match listed.text {
        Some(_) => [",\"text\":", ",\"finish_reason\":null}]}"],
        None => [",\"delta\":{\"content\":", "},\"finish_reason\":null}]}"],
    };
    let before = "\"choices\":[{\"index\":";
    for part in [before.as_bytes(), index.as_bytes(), between.as_bytes()] {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&json_text(text));
    out.extend_from_slice(after.as_bytes());
    String::from_utf8(out).ok()
}

/// The chunks of one choice each that say the same as this chunk of several, in their order. The
/// last has the usage. `None` for a chunk of one choice.
pub(in super::super) fn by_choice(chunk: &[u8]) -> Option<Vec<String>> {
    let choices = slices::member(chunk, "choices")?;
    slices::elements(choices).nth(1)?;
    let count = slices::elements(choices).count();
    let usage = slices::member(chunk, "usage").is_some_and(is_object);
    let alone = |(at, choice): (usize, &[u8])| {
        let own = with_member(chunk, "choices", &[b"[", choice, b"]"].concat());
        let is_counted = usage && at + 1 < count;
        String::from_utf8(if is_counted { with_member(&own, "usage", b"null") } else { own }).ok()
    };
    slices::elements(choices).enumerate().map(alone).collect()
}

/// The chunk with another text in its first choice.
pub(super) fn with_text(chunk: &str, text: &str) -> Option<String> {
    let Some(choices) = slices::member(chunk.as_bytes(), "choices") else {
        return other_chunks::with_text(chunk.as_bytes(), text);
    };
    let choice = slices::elements(choices).next()?;
    let choice_now = match slices::member(choice, "delta").filter(|delta| is_object(delta)) {
        Some(delta) => {
            let delta = with_member(delta, "content", &json_text(text));
            with_member(choice, "delta", &delta)
        }
        None => {
            slices::member(choice, "text")?;
            with_member(choice, "text", &json_text(text))
        }
    };
    let start = choice.as_ptr() as usize - choices.as_ptr() as usize;
    let (before, after) = (&choices[..start], &choices[start + choice.len()..]);
    let choices = [before, &choice_now, after].concat();
    String::from_utf8(with_member(chunk.as_bytes(), "choices", &choices)).ok()
}
