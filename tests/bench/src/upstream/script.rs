//! The answers of the fake upstream: selected by the two ends of the body, with bytes prepared in
//! advance. Pure; `upstream` has the sockets.

use super::ANSWER;
use serde_json::json;
use std::{sync::LazyLock, time::Duration};

/// Enough of either end to find `model` and `stream`, however long the messages in between are.
const END_SIZE: usize = 4096;

/// The model that the upstream reports; as with real ones, it differs from the requested name.
const UPSTREAM_MODEL: &str = "bench-2026-01-15";

/// The answer to one request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Json,
    Stream(Pattern),
    /// The body is not a JSON object or names no model, because a proxy damaged it.
    Refusal,
}

/// How a streamed reply is sent; written `50x1x20ms` at the end of a model name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    pub writes: u32,
    /// Sent in one write, so that they arrive together; at least one.
    pub events_per_write: u32,
    /// The time between writes; zero means full speed.
    pub pace_ms: u64,
}

impl Pattern {
    /// The model name that selects this pattern.
    #[must_use]
    pub fn model_name(self) -> String {
        let Self { writes, events_per_write, pace_ms } = self;
        format!("bench-{writes}x{events_per_write}x{pace_ms}ms")
    }

    /// Events of one reply, the closing `[DONE]` included.
    #[must_use]
    pub fn events(self) -> u64 {
        u64::from(self.writes) * u64::from(self.events_per_write) + 1
    }

    pub(super) fn pace(self) -> Duration {
        Duration::from_millis(self.pace_ms)
    }

    /// Reads the pattern off the end of a quoted model name.
    fn of_model(value: &[u8]) -> Option<Self> {
        let name = value.strip_prefix(b"\"")?.split(|byte| *byte == b'"').next()?;
        let pattern = std::str::from_utf8(name).ok()?.rsplit('-').next()?.strip_suffix("ms")?;
        let mut numbers = pattern.splitn(3, 'x');
        let writes = numbers.next()?.parse().ok()?;
        let events_per_write = numbers.next()?.parse().ok().filter(|events| *events > 0)?;
        let pace_ms = numbers.next()?.parse().ok()?;
        Some(Self { writes, events_per_write, pace_ms })
    }
}

/// The first and last bytes of a body, collected while it arrives.
#[derive(Debug, Default)]
pub(super) struct BodyEnds {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl BodyEnds {
    pub(super) fn push(&mut self, piece: &[u8]) {
        let missing = END_SIZE - self.head.len();
        let (head, rest) = piece.split_at(missing.min(piece.len()));
        self.head.extend_from_slice(head);
        let rest = &rest[rest.len().saturating_sub(END_SIZE)..];
        let excess = (self.tail.len() + rest.len()).saturating_sub(END_SIZE);
        self.tail.drain(..excess);
        self.tail.extend_from_slice(rest);
    }

    fn is_object(&self) -> bool {
        let last = self.tail.last().or(self.head.last());
        self.head.first() == Some(&b'{') && last == Some(&b'}')
    }

    /// The text right after `"name":`, blanks skipped.
    fn member(&self, name: &str) -> Option<&[u8]> {
        let key = format!("\"{name}\":");
        [&self.head, &self.tail].into_iter().find_map(|end| {
            let at = memchr::memmem::find(end, key.as_bytes())?;
            Some(end[at + key.len()..].trim_ascii_start())
        })
    }
}

impl Reply {
    pub(super) fn for_body(ends: &BodyEnds) -> Self {
        let Some(model) = ends.member("model").filter(|_| ends.is_object()) else {
            return Self::Refusal;
        };
        let streamed = ends.member("stream").is_some_and(|value| value.starts_with(b"true"));
        match Pattern::of_model(model) {
            Some(pattern) if streamed => Self::Stream(pattern),
            _ => Self::Json,
        }
    }
}

pub(super) fn completion() -> &'static [u8] {
    static RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let body = json!({
            "id": "chatcmpl-9f2c41d07be84c52a1e6d3b8", "object": "chat.completion",
            "created": 1_768_435_200, "model": UPSTREAM_MODEL,
            "choices": [{"index": 0, "logprobs": null, "finish_reason": "stop",
                "message": {"role": "assistant", "content": ANSWER, "refusal": null}}],
            "usage": {"prompt_tokens": 27, "completion_tokens": 19, "total_tokens": 46,
                "completion_tokens_details": {"reasoning_tokens": 0}},
            "service_tier": "default", "system_fingerprint": "fp_3e1f0c7a52",
        });
        json_response("200 OK", &body.to_string())
    });
    &RESPONSE
}

pub(super) fn refusal() -> &'static [u8] {
    static RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let body = json!({"error": {"message": "body is not a chat request", "code": "400",
            "type": "invalid_request_error", "param": null}});
        json_response("400 Bad Request", &body.to_string())
    });
    &RESPONSE
}

pub(super) fn stream_head() -> &'static [u8] {
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
      cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
}

/// One write of a stream with `events` chunks; the last chunk of a reply has its finish reason.
pub(super) fn chunks(events: u32, last: bool) -> Vec<u8> {
    let before_last = chunk(false).repeat(events.saturating_sub(1) as usize);
    [&before_last, chunk(last)].concat()
}

fn chunk(last: bool) -> &'static [u8] {
    static CHUNKS: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
        [json!({"delta": {"content": " word"}, "finish_reason": null}),
         json!({"delta": {}, "finish_reason": "stop"})]
        .map(|choice| {
            let (delta, reason) = (&choice["delta"], &choice["finish_reason"]);
            let event = json!({
                "id": "chatcmpl-9f2c41d07be84c52a1e6d3b8", "object": "chat.completion.chunk",
                "created": 1_768_435_200, "model": UPSTREAM_MODEL,
                "system_fingerprint": "fp_3e1f0c7a52",
                "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}],
            });
            let event = format!("data: {event}\n\n");
            format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
        })
    });
    &CHUNKS[usize::from(last)]
}

pub(super) fn stream_end() -> &'static [u8] {
    b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
}

pub(super) fn json_response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompt::{ModelPlace, chat_body};

    fn reply(body: &[u8], step: usize) -> Reply {
        let mut ends = BodyEnds::default();
        body.chunks(step).for_each(|piece| ends.push(piece));
        Reply::for_body(&ends)
    }

    #[test]
    fn the_model_name_chooses_the_reply() {
        let stream = |writes, events_per_write, pace_ms| {
            Reply::Stream(Pattern { writes, events_per_write, pace_ms })
        };
        let cases: [(&[u8], Reply); 8] = [
            (br#"{"model":"bench","stream":true}"#, Reply::Json),
            (br#"{"model":"bench-50x1x20ms"}"#, Reply::Json),
            (br#"{"model": "openai-bench-50x1x20ms", "stream": true}"#, stream(50, 1, 20)),
            (br#"{"stream":true,"model":"bench-32x8x0ms"}"#, stream(32, 8, 0)),
            (br#"{"stream":true,"model":"bench-32x0x0ms"}"#, Reply::Json),
            (br#"{"model":"bench""#, Reply::Refusal),
            (br#"{"messages":[]}"#, Reply::Refusal),
            (b"", Reply::Refusal),
        ];
        for (body, expected) in cases {
            assert_eq!(reply(body, 7), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn members_are_found_at_either_end_of_a_long_body() {
        for place in [ModelPlace::First, ModelPlace::Last] {
            let pattern = Pattern { writes: 3, events_per_write: 2, pace_ms: 4 };
            let body = chat_body(&pattern.model_name(), 50_000, true, place);
            for step in [1, 1000, END_SIZE, END_SIZE + 1, body.len()] {
                let found = reply(&body, step);
                assert_eq!(found, Reply::Stream(pattern), "{place:?} in steps of {step}");
            }
            assert_eq!(reply(&body[..body.len() - 1], 1000), Reply::Refusal);
        }
    }
}
