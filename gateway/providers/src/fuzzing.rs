//! Upstream responses in each dialect, for fuzz targets.

use super::{
    CallKind, ChunkSink, Echo, ParamRules, StreamRequest, StreamTranslator, by_prefix,
    passed_events,
    through_chat::{self, ChatTarget},
};
use bytes::Bytes;
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

/// Translates a chat's stream for a client of another API, by its path below `/v1`.
#[must_use]
pub fn events_of_chat(path: &str, provider: &str, pieces: &[&[u8]]) -> Option<TranslatedStream> {
    let kind = CallKind::ALL.into_iter().find(|kind| kind.path() == path)?;
    let chat = by_prefix(provider)?.dialect;
    let chat = chat.stream(&echo(), StreamRequest { usage: true, choices: 1 });
    Some(translated(through_chat::stream(kind, chat, (&echo(), &Bytes::new())), pieces))
}

/// Makes a chat of a request to such a path, and the answer to it of the same bytes.
///
/// # Errors
/// If the bytes are no request.
pub fn chat_of(path: &str, pieces: &[&[u8]]) -> Result<Vec<u8>, String> {
    let kind = CallKind::ALL.into_iter().find(|kind| kind.path() == path).ok_or("no kind")?;
    let body = arrived(pieces).ok_or("no JSON object")?;
    let rules = ParamRules { drop_unsupported: true, ..ParamRules::default() };
    let to = ChatTarget { rules: &rules, stream: false };
    let chat =
        through_chat::request(kind, &body, &to).map_err(|failure| failure.message.clone())?;
    Ok(chat.render().concat())
}

/// Makes the answer of such a path of a completion.
///
/// # Errors
/// If the bytes are no completion.
pub fn answer_of_chat(path: &str, completion: &[u8]) -> Result<Vec<u8>, String> {
    let kind = CallKind::ALL.into_iter().find(|kind| kind.path() == path).ok_or("no kind")?;
    through_chat::reply(kind, completion, (&echo(), &Bytes::new()))
        .map_err(|fault| format!("{fault:?}"))
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
