//! A streamed chunk as hooks see it.

use super::{chunk_json, object::object, streamed_text::within};
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
    /// The chunks that the running hook adds.
    pub(crate) emitted: Vec<String>,
    /// The bytes of text that the running hook holds back.
    hold: usize,
    /// The bytes at the beginning of the text that the running hook's callback held back before.
    held: usize,
    /// The chunk has the rest of what the running hook's callback held back.
    flushed: bool,
}

impl ChunkPayload {
    pub fn new(index: u64, json: String) -> Self {
        Self {
            index,
            json,
            dropped: false,
            text: OnceCell::new(),
            emitted: Vec::new(),
            hold: 0,
            held: 0,
            flushed: false,
        }
    }

    /// The rest of what a callback held back.
    pub(crate) fn flushed(index: u64, json: String) -> Self {
        let chunk = Self { flushed: true, ..Self::new(index, json) };
        Self { held: chunk.text().len(), ..chunk }
    }

    /// The chunk as a hook got it when it was recorded.
    pub(crate) fn as_recorded(index: u64, json: String, held: usize, flushed: bool) -> Self {
        Self { held, flushed, ..Self::new(index, json) }
    }

    /// The bytes that the hook holds back, those that were held back before, and whether the chunk
    /// has the rest of those.
    pub(crate) fn held_back(&self) -> (usize, usize, bool) {
        (self.hold, self.held, self.flushed)
    }

    /// The same chunk as the hook got it.
    pub(crate) fn unedited(&self, json: String) -> Self {
        Self { held: self.held, flushed: self.flushed, ..Self::new(self.index, json) }
    }

    /// Whether a hook's edits of `copy` would change more than the JSON.
    pub(crate) fn is_extended(&self) -> bool {
        self.dropped || self.hold > 0 || !self.emitted.is_empty()
    }

    /// Whether the hook that ran added chunks, or holds or held text back.
    pub(crate) fn is_n_to_m(&self) -> bool {
        self.hold > 0 || self.held > 0 || self.flushed || !self.emitted.is_empty()
    }

    /// Puts text that a callback held back before the chunk's own.
    pub(crate) fn put_before(&mut self, held: &str) {
        let text = [held, self.text()].concat();
        if let Some(json) = chunk_json::with_text(&self.json, &text) {
            self.replace(json);
            self.held = held.len();
        }
    }

    /// Whether text that a callback held back can be put before the chunk's own.
    pub(crate) fn has_text(&self) -> bool {
        chunk_json::has_text(self.json.as_bytes())
    }

    /// Whether text that was held back has to be sent before the chunk.
    pub(crate) fn ends_text(&self) -> bool {
        chunk_json::ends_text(self.json.as_bytes())
    }

    /// Cuts off the text that the hook holds back. Returns it with a chunk that has only this text.
    pub(crate) fn cut_held(&mut self) -> Option<(String, String)> {
        let hold = std::mem::take(&mut self.hold);
        if hold == 0 || self.dropped {
            return None;
        }
        let text = self.text();
        let now = within(text, text.len() - hold.min(text.len()));
        let held = text[now.len()..].to_owned();
        let rest = chunk_json::another(self.json.as_bytes(), &held)?;
        let json = chunk_json::with_text(&self.json, now)?;
        self.dropped = now.is_empty() && chunk_json::is_only_text(json.as_bytes());
        self.replace(json);
        (!held.is_empty()).then_some((held, rest))
    }

    /// Ends the part of the chunk's life that belongs to one callback.
    pub(crate) fn leave_callback(&mut self) {
        (self.hold, self.held, self.flushed) = (0, 0, false);
    }

    fn replace(&mut self, json: String) {
        self.json = json;
        self.text = OnceCell::new();
    }

    fn emit(&mut self, json: String) -> Edited {
        let bytes = self.emitted.iter().map(String::len).sum::<usize>() + json.len();
        if bytes > limits::EMITTED || self.emitted.len() >= limits::EMITTED_CHUNKS {
            return Err(EditError::TooLarge);
        }
        self.emitted.push(json);
        Ok(())
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
        self.text.get_or_init(|| chunk_json::text(self.json.as_bytes()).into())
    }

    fn set_json(&mut self, json: &str) -> Edited {
        object(json.as_bytes())?;
        self.replace(json.to_owned());
        Ok(())
    }

    fn set_text(&mut self, text: &str) -> Edited {
        if text.len() > limits::ANSWER {
            return Err(EditError::TooLarge);
        }
        let json = chunk_json::with_text(&self.json, text).ok_or(EditError::WrongKind)?;
        self.replace(json);
        Ok(())
    }

    fn drop_chunk(&mut self) -> Edited {
        self.dropped = true;
        Ok(())
    }

    fn choice(&self) -> Option<u64> {
        chunk_json::choice(self.json.as_bytes())
    }

    fn emit_text(&mut self, text: &str) -> Edited {
        if text.len() > limits::EMITTED {
            return Err(EditError::TooLarge);
        }
        let json = chunk_json::another(self.json.as_bytes(), text).ok_or(EditError::WrongKind)?;
        self.emit(json)
    }

    fn emit_json(&mut self, json: &str) -> Edited {
        if json.len() > limits::EMITTED {
            return Err(EditError::TooLarge);
        }
        object(json.as_bytes())?;
        self.emit(json.to_owned())
    }

    fn hold_back(&mut self, bytes: usize) -> Edited {
        if bytes > limits::HELD_BACK {
            return Err(EditError::TooLarge);
        }
        if self.is_last() {
            return Err(EditError::TooLate);
        }
        self.hold = bytes;
        Ok(())
    }

    fn held(&self) -> usize {
        self.held
    }

    fn is_last(&self) -> bool {
        self.flushed || self.ends_text()
    }
}
