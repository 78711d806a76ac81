//! The gateway's [`Dialect`] over this room's translations.

use super::{
    ChatStream, Ollama, ReplyError, StreamError, chat_reply, chat_request, chat_url, upstream_error,
};
use crate::{
    failure::Failure,
    json::Body,
    provider::{
        ChunkSink, Destination, Dialect, Echo, Outgoing, StreamFailure, StreamTranslator,
        Translated, UpstreamError, Usage,
    },
    stream::Lines,
};
use plugin_api::FailureKind;

impl Dialect for Ollama {
    fn request(&self, body: &mut Body, to: &Destination<'_>) -> Result<Outgoing, Failure> {
        let body = body.rendered();
        let translated =
            chat_request(&body, to.model, to.params, to.drop_params).map_err(|error| {
                let failure = Failure::invalid(error.message());
                match error.param() {
                    Some(param) => failure.param(param),
                    None => failure,
                }
            })?;
        Ok(Outgoing { url: chat_url(to.api_base), body: [translated.into()].into() })
    }

    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, Failure> {
        let reply = chat_reply(body.original(), echo).map_err(|error| match error {
            ReplyError::Upstream(said) => Failure::of_upstream(500, said),
            error => Failure::new(FailureKind::UPSTREAM_UNREACHABLE, 500, error.to_string()),
        })?;
        Ok(Translated { body: [reply.body.into()].into(), usage: reply.usage })
    }

    fn stream(&self, echo: &Echo, include_usage: bool) -> Box<dyn StreamTranslator> {
        Box::new(Translating {
            lines: Lines::default(),
            chat: ChatStream::new(echo, include_usage),
        })
    }

    fn error(&self, status: u16, body: &[u8]) -> UpstreamError {
        upstream_error(status, body)
    }

    fn unreachable_hint(&self) -> &'static str {
        "is `ollama serve` running there?"
    }
}

/// NDJSON lines into chunks.
struct Translating {
    lines: Lines,
    chat: ChatStream,
}

impl StreamTranslator for Translating {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        let chat = &mut self.chat;
        self.lines.push(bytes, |line| {
            if line.trim_ascii().is_empty() || chat.finished() {
                return Ok(());
            }
            chat.line(line, &mut |json| out.chunk(&[json])).map_err(StreamFailure::from)
        })
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), StreamFailure> {
        let mut rest = self.lines.take_rest();
        rest.push(b'\n');
        self.push(&rest, out)
    }

    fn complete(&self) -> bool {
        self.chat.finished()
    }

    fn usage(&self) -> Option<Usage> {
        self.chat.usage()
    }
}

impl From<StreamError> for StreamFailure {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Upstream(said) => Self::Upstream(said),
            error @ StreamError::Malformed { .. } => Self::Malformed(error.to_string()),
        }
    }
}
