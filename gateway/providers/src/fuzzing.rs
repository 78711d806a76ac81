//! Upstream responses in each dialect, for fuzz targets.

use super::{CallKind, ChunkSink, Echo, StreamRequest, StreamTranslator, by_prefix, passed_events};
use callgate_json::fuzzing::arrived;

/// The dialects, each by the name of a provider that uses it.
pub const DIALECTS: [&str; 2] = ["openai", "ollama_chat"];

/// A stream as the client gets it.
#[derive(Debug, PartialEq, Eq)]
pub struct TranslatedStream {
    /// The JSON of each event.
    pub chunks: Vec<Vec<u8>>,
    /// Why it is incomplete.
    pub fault: Option<String>,
}

impl ChunkSink for TranslatedStream {
    fn chunk(&mut self, json: &[&[u8]]) {
        self.chunks.push(json.concat());
    }
}

fn echo() -> Echo {
    Echo { id: "chatcmpl-1".into(), created: 1, model: "asked".into() }
}

/// Translates a stream that comes in these pieces before the upstream closes.
#[must_use]
pub fn stream(provider: &str, pieces: &[&[u8]], choices: u64) -> Option<TranslatedStream> {
    let dialect = by_prefix(provider)?.dialect;
    Some(translated(dialect.stream(&echo(), StreamRequest { usage: true, choices }), pieces))
}

/// Passes a stream of another kind of call, by its path below `/v1`.
#[must_use]
pub fn events(path: &str, pieces: &[&[u8]]) -> Option<TranslatedStream> {
    let kind = CallKind::ALL.into_iter().find(|kind| kind.path() == path)?;
    let asked = StreamRequest { usage: true, choices: 1 };
    Some(translated(passed_events::stream(kind, &echo(), asked), pieces))
}

fn translated(mut translator: Box<dyn StreamTranslator>, pieces: &[&[u8]]) -> TranslatedStream {
    let mut streamed = TranslatedStream { chunks: Vec::new(), fault: None };
    for piece in pieces {
        if let Err(fault) = translator.push(piece, &mut streamed) {
            streamed.fault = Some(format!("{fault:?}"));
            return streamed;
        }
        if translator.complete() {
            return streamed;
        }
    }
    streamed.fault = translator.close(&mut streamed).err().map(|fault| format!("{fault:?}"));
    streamed
}

/// Translates a JSON reply.
///
/// # Errors
/// If it is not a complete completion.
pub fn reply(provider: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
    let dialect = by_prefix(provider).ok_or("no provider")?.dialect;
    let body = arrived(pieces).ok_or("no JSON object")?;
    let translated = dialect.reply(body, &echo()).map_err(|fault| format!("{fault:?}"))?;
    Ok(translated.body.concat())
}

/// The message, type, code and parameter of an error reply.
#[must_use]
pub fn error(provider: &str, status: u16, body: &[u8]) -> Option<[String; 4]> {
    let said = by_prefix(provider)?.dialect.error(status, body);
    let other = |text: Option<String>| text.unwrap_or_default();
    Some([said.message, other(said.error_type), other(said.code), other(said.param)])
}
