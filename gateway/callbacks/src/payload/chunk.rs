//! A streamed chunk as hooks see it.

use super::{
    object::{is_object, object},
    streamed_text::StreamedText,
};
use callgate_json::{json_text, slices};
use plugin_api::{
    EditError,
    abi::serve::{ChunkAccess, Edited},
    limits,
};
use std::cell::OnceCell;

/// A streamed chunk on its way through the chain.
#[derive(Clone, Debug)]
pub struct ChunkPayload {
    pub index: u64,
    pub json: String,
    pub dropped: bool,
    text: OnceCell<Box<str>>,
}

impl ChunkPayload {
    pub fn new(index: u64, json: String) -> Self {
        Self { index, json, dropped: false, text: OnceCell::new() }
    }
}

impl ChunkAccess for ChunkPayload {
    fn index(&self) -> u64 {
        self.index
    }

    fn json(&self) -> &str {
        &self.json
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let mut streamed = StreamedText::default();
            streamed.add(self.json.as_bytes());
            streamed.text.into()
        })
    }

    fn set_json(&mut self, json: &str) -> Edited {
        object(json.as_bytes())?;
        json.clone_into(&mut self.json);
        self.text = OnceCell::new();
        Ok(())
    }

    fn set_text(&mut self, text: &str) -> Edited {
        if text.len() > limits::ANSWER {
            return Err(EditError::TooLarge);
        }
        let json = with_content(&self.json, text).ok_or(EditError::WrongKind)?;
        self.json = json;
        self.text = OnceCell::new();
        Ok(())
    }

    fn drop_chunk(&mut self) -> Edited {
        self.dropped = true;
        Ok(())
    }
}

/// A chunk with another text in its first choice.
fn with_content(chunk: &str, text: &str) -> Option<String> {
    let choices = slices::member(chunk.as_bytes(), "choices")?;
    let choice = slices::elements(choices).next()?;
    let delta = slices::member(choice, "delta").filter(|delta| is_object(delta))?;
    let delta = with_member(delta, "content", &json_text(text));
    let choice_now = with_member(choice, "delta", &delta);
    let start = choice.as_ptr() as usize - choices.as_ptr() as usize;
    let (before, after) = (&choices[..start], &choices[start + choice.len()..]);
    let choices = [before, &choice_now, after].concat();
    String::from_utf8(with_member(chunk.as_bytes(), "choices", &choices)).ok()
}

/// An object with a new value for a member, which then occurs once.
fn with_member(object: &[u8], wanted: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len() + value.len() + 16);
    out.push(b'{');
    let mut push = |name: &[u8], value: &[u8]| {
        out.extend_from_slice(if out.len() == 1 { b"\"" } else { b",\"" });
        for part in [name, b"\":", value] {
            out.extend_from_slice(part);
        }
    };
    let mut is_there = false;
    for (name, own) in slices::members(object) {
        if !name.is(wanted) {
            push(name.json(), own);
        } else if !std::mem::replace(&mut is_there, true) {
            push(name.json(), value);
        }
    }
    if !is_there {
        push(wanted.as_bytes(), value);
    }
    out.push(b'}');
    out
}
