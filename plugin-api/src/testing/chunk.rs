//! The streamed chunk that a test lends to `on_llm_new_token`.

use crate::{
    EditError,
    abi::serve::{ChunkAccess, Edited},
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
        Self { index: 0, json: chunk.to_string(), text: text_of(&chunk), dropped: false }
    }

    /// Sets the position in the stream.
    #[must_use]
    pub fn index(mut self, index: u64) -> Self {
        self.index = index;
        self
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
}
