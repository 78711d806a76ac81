//! The streamed chunk that a test lends to `on_llm_new_token`.

use crate::{
    EditError,
    abi::serve::{ChunkAccess, Edited},
    limits,
};
use serde_json::{Value, json};

/// A `chat.completion.chunk`.
///
/// ```
/// use plugin_api::testing::TestChunk;
///
/// let chunk = TestChunk::text("Hel").index(3);
/// assert_eq!(chunk.added(), "Hel");
/// assert!(!chunk.dropped());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TestChunk {
    index: u64,
    json: String,
    text: String,
    dropped: bool,
    emitted: Vec<Value>,
    hold: usize,
    held: usize,
    flushed: bool,
}

impl TestChunk {
    /// Creates a chunk that adds text to the first choice.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::json(json!({
            "id": "chatcmpl-test",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "test",
            "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
        }))
    }

    /// Creates a chunk from JSON.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "reads as `TestChunk::json(json!({…}))`")]
    pub fn json(chunk: Value) -> Self {
        Self {
            index: 0,
            json: chunk.to_string(),
            text: text_of(&chunk),
            dropped: false,
            emitted: Vec::new(),
            hold: 0,
            held: 0,
            flushed: false,
        }
    }

    /// Sets the position in the stream.
    #[must_use]
    pub fn index(mut self, index: u64) -> Self {
        self.index = index;
        self
    }

    /// Puts text that the callback held back before the chunk's own.
    #[must_use]
    pub fn after(mut self, held: &str) -> Self {
        let text = [held, &self.text].concat();
        if self.set_text(&text).is_ok() {
            self.held = held.len();
        }
        self
    }

    /// Makes it the chunk with the rest that the callback held back: nothing follows.
    #[must_use]
    pub fn last(mut self) -> Self {
        self.flushed = true;
        self
    }

    /// Returns the text that the client gets of this chunk: without what is held back, and empty if
    /// the chunk is dropped.
    #[must_use]
    pub fn sent(&self) -> &str {
        if self.dropped { "" } else { self.parts().0 }
    }

    /// Returns the text that the callback holds back for the next chunk.
    #[must_use]
    pub fn held_back(&self) -> &str {
        if self.dropped { "" } else { self.parts().1 }
    }

    fn parts(&self) -> (&str, &str) {
        let length = self.text.len();
        self.text.split_at(self.text.floor_char_boundary(length - self.hold.min(length)))
    }

    /// Returns the chunks that the callback emitted, in order.
    #[must_use]
    pub fn emitted(&self) -> &[Value] {
        &self.emitted
    }

    /// Returns the texts of the chunks that the callback emitted.
    #[must_use]
    pub fn emitted_texts(&self) -> Vec<&str> {
        let texts = self.emitted.iter().map(|chunk| &chunk["choices"][0]["delta"]["content"]);
        texts.map(|text| text.as_str().unwrap_or_default()).collect()
    }

    /// Returns the text that the chunk adds, with all edits.
    #[must_use]
    pub fn added(&self) -> &str {
        &self.text
    }

    /// Returns the chunk with all edits.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// Returns whether the callback dropped the chunk.
    #[must_use]
    pub fn dropped(&self) -> bool {
        self.dropped
    }
}

impl TestChunk {
    fn emit(&mut self, chunk: Value) -> Edited {
        let bytes = |chunk: &Value| chunk.to_string().len();
        let all = self.emitted.iter().map(bytes).sum::<usize>() + bytes(&chunk);
        if self.emitted.len() >= limits::EMITTED_CHUNKS || all > limits::EMITTED {
            return Err(EditError::TooLarge);
        }
        self.emitted.push(chunk);
        Ok(())
    }
}

fn text_of(chunk: &Value) -> String {
    chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
}

impl ChunkAccess for TestChunk {
    fn index(&self) -> u64 {
        self.index
    }
    fn json(&self) -> &str {
        &self.json
    }
    fn text(&self) -> &str {
        &self.text
    }
    fn set_json(&mut self, json: &str) -> Edited {
        let value: Value = serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
        if !value.is_object() {
            return Err(EditError::NotJson);
        }
        self.text = text_of(&value);
        json.clone_into(&mut self.json);
        Ok(())
    }
    fn set_text(&mut self, text: &str) -> Edited {
        let mut value = self.value();
        let choice = value["choices"].get_mut(0).and_then(Value::as_object_mut);
        choice.ok_or(EditError::WrongKind)?["delta"]["content"] = text.into();
        self.json = value.to_string();
        text.clone_into(&mut self.text);
        Ok(())
    }
    fn drop_chunk(&mut self) -> Edited {
        self.dropped = true;
        Ok(())
    }
    fn choice(&self) -> Option<u64> {
        let choice = &self.value()["choices"][0];
        choice.is_object().then(|| choice["index"].as_u64().unwrap_or_default())
    }
    fn emit_text(&mut self, text: &str) -> Edited {
        let index = self.choice().ok_or(EditError::WrongKind)?;
        let mut chunk = self.value();
        chunk["choices"] =
            json!([{"index": index, "delta": {"content": text}, "finish_reason": null}]);
        if let Some(members) = chunk.as_object_mut() {
            members.remove("usage");
        }
        self.emit(chunk)
    }
    fn emit_json(&mut self, json: &str) -> Edited {
        let value: Value = serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
        if value.is_object() { self.emit(value) } else { Err(EditError::NotJson) }
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
        let choice = &self.value()["choices"][0];
        let calls_tool = choice["delta"]["tool_calls"].as_array();
        self.flushed
            || !choice["finish_reason"].is_null()
            || calls_tool.is_some_and(|calls| !calls.is_empty())
    }
}
