//! Anthropic's native dialect: translates OpenAI chat calls into `POST /v1/messages`, and the
//! messages back. Calls of `/v1/messages` itself pass unchanged.
//!
//! Pure translation of bytes, without sockets, clock or configuration. Written from Anthropic's
//! documentation of the Messages API, version 2023-06-01.

mod content;
mod error;
mod messages;
mod read;
mod reply;
mod request;
mod stream;
#[cfg(test)]
mod tests;
mod tools;
mod usage;

use crate::{
    AnswerFault, CallKind, ChatAddress, Destination, Dialect, Echo, ErrorText, Outgoing,
    StreamRequest, StreamTranslator, Translated, error_text, extra_body, number_of_choices,
    other_calls,
};
use callgate_failure::Failure;
use callgate_json::{Body, Edits, joined, text};
use request::{MessagesTarget, messages_request, unfit};
use serde_json::{Map, Value};
use stream::MessageStream;

/// Anthropic, and servers that speak its Messages API.
#[derive(Debug)]
pub(crate) struct Anthropic;

impl Dialect for Anthropic {
    fn chat_url(&self, at: &ChatAddress<'_>) -> String {
        messages_url(at.base)
    }

    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure> {
        let choices = number_of_choices(body.member("n"));
        let mut edits = Edits::of(body);
        extra_body::merge(&mut edits)?;
        to.rules.cut(&mut edits);
        let body = joined(edits.render());
        let target = MessagesTarget {
            model: to.model,
            defaults: to.params,
            rules: to.rules,
            stream: to.stream,
        };
        let made = messages_request(text(&body), &target).map_err(|error| error.failure())?;
        Ok(Outgoing { body: [made.into()].into(), choices, base64: false, headers: &[] })
    }

    fn url(&self, kind: CallKind, at: &ChatAddress<'_>) -> String {
        match kind {
            CallKind::Chat | CallKind::Messages => messages_url(at.base),
            _ => messages_url(at.base).replace("/messages", kind.path()),
        }
    }

    fn request_of(
        &self,
        kind: CallKind,
        body: &Body,
        to: &Destination<'_>,
    ) -> Result<Outgoing, Failure> {
        other_calls::request(kind, body, to)
    }

    fn reply_of(
        &self,
        kind: CallKind,
        body: Body,
        echo: &Echo,
        _: bool,
    ) -> Result<Translated, AnswerFault> {
        other_calls::reply(kind, body, echo)
    }

    fn unfit<'p>(&self, params: &'p Map<String, Value>) -> Vec<&'p str> {
        unfit(params)
    }

    fn reply(&self, body: Body, echo: &Echo) -> Result<Translated, AnswerFault> {
        let (body, usage) = reply::completion(body.original(), echo)?;
        Ok(Translated { body: [body.into()].into(), usage })
    }

    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator> {
        Box::new(MessageStream::new(echo, asked))
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorText {
        error_text::read_status(status, body)
    }

    fn speaks_anthropic(&self) -> bool {
        true
    }
}

/// The URL of messages below a base, which may end in `/v1` or in the whole path.
fn messages_url(base: &str) -> String {
    let base = base.trim_end_matches('/');
    let root = base.strip_suffix("/messages").unwrap_or(base);
    let root = root.strip_suffix("/v1").unwrap_or(root).trim_end_matches('/');
    [root, "/v1/messages"].concat()
}
