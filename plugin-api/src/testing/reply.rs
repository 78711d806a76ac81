//! The answer that a test lends to `on_llm_end`.

use super::call::{is_header_name, is_header_value};
use crate::{
    EditError,
    abi::serve::{Edited, ReplyAccess},
};
use serde_json::{Value, json};
use std::time::Duration;

/// Response headers that the gateway sets itself.
const OWNED: [&str; 6] =
    ["content-length", "content-type", "connection", "keep-alive", "transfer-encoding", "upgrade"];

/// A complete answer: a JSON reply, or the end of a stream.
///
/// ```
/// use plugin_api::testing::TestReply;
/// use std::time::Duration;
///
/// let reply = TestReply::text("Paris").usage(12, 3).duration(Duration::from_millis(80));
/// assert_eq!(reply.value()["usage"]["total_tokens"], 15);
/// let streamed = TestReply::streamed("Paris");
/// assert!(streamed.value().is_null());
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TestReply {
    status: u16,
    json: Option<String>,
    text: String,
    finish_reason: Option<String>,
    usage: [Option<u64>; 3],
    durations: [Option<u64>; 3],
    from_callback: bool,
    completion: Option<String>,
    headers: Vec<(String, String)>,
}

impl TestReply {
    /// Creates a JSON reply with this text.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let message = json!({"role": "assistant", "content": text});
        Self::json(json!({
            "id": "chatcmpl-test",
            "object": "chat.completion",
            "created": 0,
            "model": "test",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }))
    }

    /// Creates a JSON reply from JSON. Text, finish reason and usage are read from it.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "reads as `TestReply::json(json!({…}))`")]
    pub fn json(reply: Value) -> Self {
        let choice = &reply["choices"][0];
        let tokens = |name| reply["usage"][name].as_u64();
        Self {
            status: 200,
            json: Some(reply.to_string()),
            text: text_of(&reply),
            finish_reason: choice["finish_reason"].as_str().map(str::to_owned),
            usage: ["prompt_tokens", "completion_tokens", "total_tokens"].map(tokens),
            durations: [Some(0), Some(0), None],
            from_callback: false,
            completion: None,
            headers: Vec::new(),
        }
    }

    /// Creates the end of a stream with this text. Edits of it fail.
    #[must_use]
    pub fn streamed(text: &str) -> Self {
        let mut reply = Self::text(text);
        reply.json = None;
        reply.durations[2] = Some(0);
        reply
    }

    /// Sets the completion that a stream came to, as a gateway puts it together for a callback
    /// whose `reads` has `completion`.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "reads as `completion(json!({…}))`")]
    pub fn completion(mut self, completion: Value) -> Self {
        self.completion = Some(completion.to_string());
        self
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Sets the tokens that the upstream counted, also in the body of a JSON reply.
    #[must_use]
    pub fn usage(mut self, prompt: u64, completion: u64) -> Self {
        let total = prompt + completion;
        self.usage = [Some(prompt), Some(completion), Some(total)];
        if self.json.is_some() {
            let mut value = self.value();
            value["usage"] = json!({
                "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total,
            });
            self.json = Some(value.to_string());
        }
        self
    }

    /// Sets the finish reason.
    #[must_use]
    pub fn finish_reason(mut self, reason: &str) -> Self {
        self.finish_reason = Some(reason.to_owned());
        self
    }

    /// Sets the time since the call was accepted, and the upstream's time to the same.
    #[must_use]
    pub fn duration(mut self, time: Duration) -> Self {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1);
        [self.durations[0], self.durations[1]] = [Some(ns); 2];
        self
    }

    /// Sets the time to the first streamed chunk.
    #[must_use]
    pub fn time_to_first_token(mut self, time: Duration) -> Self {
        self.durations[2] = Some(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1));
        self
    }

    /// Makes the answer come from a callback instead of an upstream.
    #[must_use]
    pub fn answered_by_callback(mut self) -> Self {
        self.from_callback = true;
        self.durations[1] = None;
        self
    }

    /// Returns the JSON body with all edits. It is null after a stream.
    #[must_use]
    pub fn value(&self) -> Value {
        self.json.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default()
    }

    /// Returns a response header that the callback set. Case does not matter.
    #[must_use]
    pub fn response_header(&self, name: &str) -> Option<&str> {
        let named = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }
}

fn text_of(reply: &Value) -> String {
    reply["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

impl ReplyAccess for TestReply {
    fn status(&self) -> u16 {
        self.status
    }
    fn json(&self) -> Option<&str> {
        self.json.as_deref()
    }
    fn set_json(&mut self, json: &str) -> Edited {
        if self.json.is_none() {
            return Err(EditError::TooLate);
        }
        let value: Value = serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
        if !value.is_object() {
            return Err(EditError::NotJson);
        }
        self.text = text_of(&value);
        self.json = Some(json.to_owned());
        Ok(())
    }
    fn text(&self) -> &str {
        &self.text
    }
    fn set_header(&mut self, name: &str, value: &str) -> Edited {
        if self.json.is_none() {
            return Err(EditError::TooLate);
        }
        let owned = OWNED.iter().any(|owned| owned.eq_ignore_ascii_case(name));
        if owned || !is_header_name(name) || !is_header_value(value) {
            return Err(EditError::NotAllowed);
        }
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        Ok(())
    }
    fn finish_reason(&self) -> Option<&str> {
        self.finish_reason.as_deref()
    }
    fn usage(&self) -> [Option<u64>; 3] {
        self.usage
    }
    fn durations(&self) -> [Option<u64>; 3] {
        self.durations
    }
    fn from_callback(&self) -> bool {
        self.from_callback
    }
    fn completion(&self) -> Option<&str> {
        self.json.as_deref().or(self.completion.as_deref())
    }
}
