//! A stream that a callback answers a call with: the plugin's task writes it, the server reads it.
//!
//! The parts become the bytes of an OpenAI stream, so that the server treats them like an
//! upstream's: with the same checks, limits and endings.

use super::payload::is_object_json;
use bytes::Bytes;
use callgate_call::Call;
use callgate_json::{json_text, slices};
use plugin_api::{
    HostError, HostErrorKind,
    abi::serve::{BoxFuture, ReplyPart, ReplySink},
    limits,
};
use serde_json::{Value, json};
use std::{
    fmt,
    future::ready,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TryRecvError};

/// The most parts that wait for the client. The callback waits then.
const WAITING: usize = 16;

const DONE: &[u8] = b"data: [DONE]\n\n";

/// The reply that a callback ends a call with in `on_llm_start`.
#[derive(Debug)]
pub enum CallbackReply {
    Whole(plugin_api::Reply),
    Stream(ReplyStreamReader),
}

/// The server's end of the stream. If it is dropped, the callback's writes fail.
pub struct ReplyStreamReader(Receiver<Bytes>);

impl fmt::Debug for ReplyStreamReader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ReplyStreamReader").finish_non_exhaustive()
    }
}

impl ReplyStreamReader {
    /// Opens a stream; returns its writer with the reader.
    pub(super) fn open(call: &Call) -> (Box<dyn ReplySink>, Self) {
        let (sender, receiver) = channel(WAITING);
        let sink = Sink { sender, head: ChunkHead::of(call), begun: AtomicBool::new(false) };
        (Box::new(sink), Self(receiver))
    }

    /// The next bytes; `None` if the writer is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }

    /// As [`ReplyStreamReader::next`], from what is there: `None` if nothing is.
    pub fn ready(&mut self) -> Option<Option<Bytes>> {
        match self.0.try_recv() {
            Ok(bytes) => Some(Some(bytes)),
            Err(TryRecvError::Disconnected) => Some(None),
            Err(TryRecvError::Empty) => None,
        }
    }
}

struct Sink {
    sender: Sender<Bytes>,
    head: ChunkHead,
    /// Something was sent. The first text says whose it is, as at OpenAI.
    begun: AtomicBool,
}

impl ReplySink for Sink {
    fn send(&self, part: ReplyPart) -> BoxFuture<Result<(), HostError>> {
        let event = match self.event(part) {
            Ok(event) => event,
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let sender = self.sender.clone();
        let closed = || HostError::new(HostErrorKind::CLOSED, "nobody takes the stream any longer");
        Box::pin(async move { sender.send(event.into()).await.map_err(|_| closed()) })
    }
}

impl Sink {
    /// The part as events of a stream.
    fn event(&self, part: ReplyPart) -> Result<Vec<u8>, HostError> {
        let mut events = Vec::new();
        match part {
            ReplyPart::Text(text) => {
                bounded(&text)?;
                let role = if self.begin() { "\"role\":\"assistant\"," } else { "" };
                let start = "{\"choices\":[{\"index\":0,\"delta\":{";
                let (text, end) = (json_text(&text), "},\"finish_reason\":null}]}");
                let parts = [start.as_bytes(), role.as_bytes(), b"\"content\":", &text];
                self.head.write(&[&parts.concat(), end.as_bytes()].concat(), &mut events);
            }
            ReplyPart::Chunk(json) => {
                bounded(&json)?;
                if !is_object_json(&json) {
                    let text = "expected a JSON object as a chunk, found something else";
                    return Err(HostError::new(HostErrorKind::INVALID, text));
                }
                self.begin();
                // Strings have no line breaks, and elsewhere a blank means the same.
                let json = json.replace(['\n', '\r'], " ");
                self.head.write(json.trim_ascii().as_bytes(), &mut events);
            }
            ReplyPart::Finish { reason, usage } => {
                if let Some(reason) = reason {
                    let choice = json!({"index": 0, "delta": {}, "finish_reason": reason});
                    self.head.write_value(&json!({"choices": [choice]}), &mut events);
                }
                if let Some((prompt, completion)) = usage {
                    let usage = json!({
                        "prompt_tokens": prompt,
                        "completion_tokens": completion,
                        "total_tokens": prompt.saturating_add(completion),
                    });
                    self.head.write_value(&json!({"choices": [], "usage": usage}), &mut events);
                }
                events.extend_from_slice(DONE);
            }
        }
        Ok(events)
    }

    /// Whether nothing was sent before.
    fn begin(&self) -> bool {
        !self.begun.swap(true, Relaxed)
    }
}

/// The members that all chunks of a stream share, for chunks that lack them.
struct ChunkHead([(&'static str, Vec<u8>); 4]);

impl ChunkHead {
    fn of(call: &Call) -> Self {
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Self([
            ("id", json_text(call.id.of_completion()).to_vec()),
            ("object", b"\"chat.completion.chunk\"".to_vec()),
            ("created", created.to_string().into_bytes()),
            ("model", json_text(&call.requested_model).to_vec()),
        ])
    }

    /// Writes a chunk as an event.
    fn write(&self, chunk: &[u8], events: &mut Vec<u8>) {
        events.extend_from_slice(b"data: {");
        for (name, value) in &self.0 {
            if slices::member(chunk, name).is_none() {
                for part in [b"\"", name.as_bytes(), b"\":", value, b","] {
                    events.extend_from_slice(part);
                }
            }
        }
        let rest = chunk.strip_prefix(b"{").unwrap_or(chunk).trim_ascii_start();
        if rest.first() == Some(&b'}') && events.last() == Some(&b',') {
            events.pop();
        }
        events.extend_from_slice(rest);
        events.extend_from_slice(b"\n\n");
    }

    fn write_value(&self, chunk: &Value, events: &mut Vec<u8>) {
        self.write(chunk.to_string().as_bytes(), events);
    }
}

fn bounded(part: &str) -> Result<(), HostError> {
    if part.len() <= limits::STREAMED_PART {
        return Ok(());
    }
    let text = format!("expected at most {} bytes, found {}", limits::STREAMED_PART, part.len());
    Err(HostError::new(HostErrorKind::TOO_LARGE, text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    fn sent(sink: &dyn ReplySink, part: ReplyPart) -> Option<Result<(), u32>> {
        Some(sink.send(part).now_or_never()?.map_err(|error| error.kind.0))
    }

    fn text(text: &str) -> ReplyPart {
        ReplyPart::Text(text.to_owned())
    }

    fn opened() -> (Box<dyn ReplySink>, ReplyStreamReader) {
        let call = crate::sample_call::call("m\"").expect("the body is JSON");
        ReplyStreamReader::open(&call)
    }

    #[test]
    fn parts_become_the_events_of_a_stream() {
        let (sink, mut reader) = opened();
        let own = r#"{"id":"own","choices":[],"object":"chat.completion.chunk","created":5}"#;
        let finish = ReplyPart::Finish { reason: Some("stop".to_owned()), usage: Some((1, 2)) };
        let chunk = |json: &str| ReplyPart::Chunk(json.to_owned());
        let parts = [text("é\"\n"), text("b"), chunk(own), chunk(" {\n} "), finish];
        for part in parts {
            assert_eq!(sent(&*sink, part), Some(Ok(())));
        }
        let mut events = || {
            let bytes = reader.ready().flatten().unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            assert!(text.ends_with("\n\n"));
            let events: Vec<_> = text.trim_ascii_end().split("\n\n").collect();
            let read = |event: &&str| serde_json::from_str(&event["data: ".len()..]).ok();
            events.iter().map(read).collect::<Vec<Option<Value>>>()
        };
        let first = events().remove(0).unwrap();
        assert_eq!(
            (&first["model"], &first["object"]),
            (&json!("m\""), &json!("chat.completion.chunk"))
        );
        assert!(first["created"].is_u64() && first["id"].is_string(), "{first}");
        let said = |role: Value| json!({"index": 0, "delta": role, "finish_reason": null});
        assert_eq!(
            first["choices"],
            json!([said(json!({"role": "assistant", "content": "é\"\n"}))])
        );
        let second = events().remove(0).unwrap();
        assert_eq!(second["choices"], json!([said(json!({"content": "b"}))]));
        assert_eq!((&second["id"], &second["created"]), (&first["id"], &first["created"]));
        let own = events().remove(0).unwrap();
        assert_eq!(
            (&own["id"], &own["created"], &own["model"]),
            (&json!("own"), &json!(5), &json!("m\""))
        );
        assert_eq!(events().remove(0).unwrap()["id"], first["id"]);
        let end = events();
        assert_eq!(end[0].as_ref().unwrap()["choices"][0]["finish_reason"], "stop");
        assert_eq!(end[1].as_ref().unwrap()["usage"]["total_tokens"], 3);
        assert_eq!(end[2], None, "[DONE]");
        assert!(reader.ready().is_none());
        drop(sink);
        assert!(matches!(reader.ready(), Some(None)));
    }

    #[test]
    fn a_full_stream_waits_and_one_that_nobody_reads_fails() {
        let (sink, mut reader) = opened();
        for _ in 0..WAITING {
            assert_eq!(sent(&*sink, text("a")), Some(Ok(())));
        }
        assert_eq!(sent(&*sink, text("a")), None, "it waits");
        assert!(reader.ready().is_some());
        assert_eq!(sent(&*sink, text("a")), Some(Ok(())));
        drop(reader);
        assert_eq!(sent(&*sink, text("a")), Some(Err(HostErrorKind::CLOSED.0)));
    }

    #[test]
    fn bad_parts_are_refused() {
        let (sink, _reader) = opened();
        for json in ["", "[]", "{", "{} {}", "null"] {
            let part = ReplyPart::Chunk(json.to_owned());
            assert_eq!(sent(&*sink, part), Some(Err(HostErrorKind::INVALID.0)), "{json}");
        }
        let long = text(&"x".repeat(limits::STREAMED_PART + 1));
        assert_eq!(sent(&*sink, long), Some(Err(HostErrorKind::TOO_LARGE.0)));
    }
}
