//! The data that a hook copies from a call, because the host lends it only until the hook returns.
//! A call waits for this, so it is cheap; the task does everything else.

use plugin_api::{CallView, FailureKind, LlmFailure, LlmReply};
use std::time::Duration;
use uuid::Uuid;

/// LangSmith accepts at most 20 MB at once, and a run holds a reply twice. Longer content is left
/// out, so that the rest of the run arrives.
const LONGEST_REQUEST: usize = 8 << 20;
const LONGEST_REPLY: usize = 4 << 20;

/// A call that has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct CapturedCall {
    /// The run's id, the same in every attempt to send it.
    pub(crate) id: Uuid,
    pub(crate) call_id: String,
    pub(crate) requested_model: String,
    pub(crate) upstream_model: String,
    pub(crate) provider: String,
    pub(crate) api_base: String,
    pub(crate) key_id: String,
    pub(crate) stream: bool,
    /// The request's body.
    pub(crate) body: Vec<u8>,
    /// The client's `metadata` as it was at the start, or empty.
    pub(crate) metadata: Vec<u8>,
    /// The JSON reply, or empty if the reply was streamed or there is none.
    pub(crate) reply: String,
    /// The streamed text.
    pub(crate) text: String,
    pub(crate) finish_reason: Option<String>,
    pub(crate) tokens: Tokens,
    /// Milliseconds since 1970.
    pub(crate) ended_ms: u64,
    pub(crate) duration: Duration,
    /// The time from the start to the first chunk.
    pub(crate) first_token: Option<Duration>,
    pub(crate) failure: Option<Failed>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) total: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) status: u16,
    pub(crate) class: &'static str,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl CapturedCall {
    fn of_call(call: &CallView<'_>, ended_ms: u64) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            call_id: call.id().to_owned(),
            requested_model: call.requested_model().to_owned(),
            upstream_model: text(call.upstream_model()),
            provider: text(call.provider()),
            api_base: text(call.api_base()),
            key_id: call.key_id().to_owned(),
            stream: call.stream(),
            body: request(call.body()),
            metadata: call.local().to_vec(),
            ended_ms,
            ..Self::default()
        }
    }

    pub(crate) fn of_reply(call: &CallView<'_>, reply: &LlmReply<'_>, ended_ms: u64) -> Self {
        let json = reply.json();
        // A JSON reply holds its text.
        let text = if json.is_none() { reply.text() } else { "" };
        let (prompt, completion) =
            (reply.prompt_tokens().unwrap_or(0), reply.completion_tokens().unwrap_or(0));
        Self {
            reply: reply_json(json.unwrap_or_default()),
            text: reply_text(text),
            finish_reason: reply.finish_reason().map(str::to_owned),
            tokens: Tokens {
                prompt,
                completion,
                total: reply.total_tokens().unwrap_or_else(|| prompt.saturating_add(completion)),
            },
            duration: reply.duration(),
            first_token: reply.time_to_first_token(),
            ..Self::of_call(call, ended_ms)
        }
    }

    pub(crate) fn of_failure(call: &CallView<'_>, failure: &LlmFailure<'_>, ended_ms: u64) -> Self {
        let failed = Failed {
            status: failure.status(),
            class: class(failure.kind()),
            code: failure.code().to_owned(),
            message: failure.message().to_owned(),
        };
        Self {
            text: reply_text(failure.text()),
            duration: failure.duration(),
            failure: Some(failed),
            ..Self::of_call(call, ended_ms)
        }
    }

    /// Returns approximately the memory that it takes, which is a little less than its size on the
    /// wire.
    pub(crate) fn size(&self) -> usize {
        const REST: usize = 1024;
        self.body.len() + self.metadata.len() + self.reply.len() + self.text.len() + REST
    }
}

fn request(body: &[u8]) -> Vec<u8> {
    if body.len() <= LONGEST_REQUEST {
        return body.to_vec();
    }
    format!("{{\"messages\":\"{}\"}}", left_out("a request", body.len())).into_bytes()
}

fn reply_json(json: &str) -> String {
    if json.len() <= LONGEST_REPLY {
        return json.to_owned();
    }
    format!("{{\"left_out\":\"{}\"}}", left_out("a reply", json.len()))
}

fn reply_text(text: &str) -> String {
    if text.len() <= LONGEST_REPLY { text.to_owned() } else { left_out("a reply", text.len()) }
}

/// Returns the text that replaces content. It needs no JSON escapes.
fn left_out(what: &str, bytes: usize) -> String {
    format!("[left out: {what} of {bytes} bytes]")
}

fn class(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::REJECTED => "Rejected",
        FailureKind::INVALID => "BadRequestError",
        FailureKind::UPSTREAM_STATUS => "APIStatusError",
        FailureKind::UPSTREAM_UNREACHABLE => "APIConnectionError",
        FailureKind::TIMEOUT => "Timeout",
        FailureKind::BROKEN_STREAM => "MidStreamError",
        FailureKind::CLIENT_GONE => "ClientDisconnected",
        FailureKind::REPLY_REFUSED => "ReplyRefused",
        _ => "InternalError",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_that_langsmith_would_not_take_is_left_out() {
        let body = |length: usize| format!("{{\"messages\":\"{}\"}}", "x".repeat(length - 15));
        let fits = body(LONGEST_REQUEST);
        assert!(request(fits.as_bytes()) == fits.as_bytes());
        let expected = br#"{"messages":"[left out: a request of 8388609 bytes]"}"#;
        assert_eq!(request(body(LONGEST_REQUEST + 1).as_bytes()), expected);
        let fits = "x".repeat(LONGEST_REPLY);
        assert!(reply_json(&fits) == fits && reply_text(&fits) == fits);
        let longer = "x".repeat(LONGEST_REPLY + 1);
        assert_eq!(reply_json(&longer), r#"{"left_out":"[left out: a reply of 4194305 bytes]"}"#);
        assert_eq!(reply_text(&longer), "[left out: a reply of 4194305 bytes]");
    }
}
