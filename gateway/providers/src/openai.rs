//! OpenAI's dialect, which is also the client's: bodies pass unchanged, except for the model name,
//! the deployment's defaults, and members that upstreams must not see.

mod choices;
mod completion_as_stream;
mod error_instead;
mod judge;
mod quirks;
mod reasoning;
mod stream;
mod usage;

use super::{
    AnswerFault, CallKind, ChatAddress, ChunkSink, Destination, Dialect, Echo, ErrorText, Outgoing,
    StreamRequest, StreamTranslator, Translated, Usage, error_text, extra_body,
    gateway_members::is_own, number_of_choices, other_calls, stream_usage,
};
use callgate_failure::Failure;
use callgate_json::{Body, Edits, json_text, slices};
pub(crate) use error_instead::NO_COMPLETION;
use judge::judge;
use serde_json::Value;
use std::borrow::Cow;
use usage::usage;

/// OpenAI itself, and every compatible server.
#[derive(Debug)]
pub struct OpenAi;

impl Dialect for OpenAi {
    fn chat_url(&self, at: &ChatAddress<'_>) -> String {
        let base = at.base.trim_end_matches('/');
        match base.strip_suffix("/chat/completions") {
            Some(_) => base.to_owned(),
            None => [base, "/chat/completions"].concat(),
        }
    }

    fn request(&self, body: &Body, to: &Destination<'_>) -> Result<Outgoing, Failure> {
        let mut edits = Edits::of(body);
        edits.set("model", to.model_json.clone());
        extra_body::merge(&mut edits)?;
        let kept_back = |name: &[u8]| is_own(name) || to.rules.leaves_out(name);
        edits.remove_all(kept_back);
        for (name, value) in to.params {
            // OpenAI refuses `stream_options` in a request without `stream`.
            let without_stream = name == "stream_options" && !to.stream;
            if !without_stream && !kept_back(name.as_bytes()) {
                add_default(&mut edits, name, value);
            }
        }
        if to.stream && to.stream_usage && !to.quirks.no_stream_options {
            stream_usage::ask(&mut edits);
        }
        quirks::apply(to.family.quirks(to.quirks), &mut edits);
        reasoning::fit(&mut edits, body, to)?;
        to.rules.cut(&mut edits);
        let choices = number_of_choices(edits.member("n"));
        Ok(Outgoing { body: edits.render(), choices, base64: false, headers: &[] })
    }

    fn url(&self, kind: CallKind, at: &ChatAddress<'_>) -> String {
        other_calls::url(&self.chat_url(at), kind)
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

    fn reply(&self, mut body: Body, echo: &Echo) -> Result<Translated, AnswerFault> {
        let (error, choices) = (body.member("error"), body.member("choices"));
        judge(error.as_deref(), choices.as_deref(), || Cow::Borrowed(body.original()))?;
        let usage = body.member("usage").and_then(|json| usage(&json));
        if body.member("model").is_some() {
            body.set("model", json_text(&echo.model));
        }
        Ok(Translated { body: body.render(), usage })
    }

    fn stream(&self, echo: &Echo, asked: StreamRequest) -> Box<dyn StreamTranslator> {
        Box::new(stream::Passing::new(echo, asked))
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorText {
        error_text::read_status(status, body)
    }
}

/// Writes the chunks of a completion that the gateway made.
pub fn chunks_of(completion: &[u8], echo: &Echo, include_usage: bool, out: &mut dyn ChunkSink) {
    completion_as_stream::write(completion, echo, include_usage, out);
}

/// The token counts of a completion.
pub fn counted(completion: &[u8]) -> Option<Usage> {
    slices::member(completion, "usage").and_then(usage)
}

/// Adds a deployment's default, unless the client sets the parameter.
fn add_default(edits: &mut Edits<'_>, name: &str, value: &Value) {
    // Two names of one limit: the client's value counts.
    let other = match name {
        "max_tokens" => "max_completion_tokens",
        "max_completion_tokens" => "max_tokens",
        _ => name,
    };
    if edits.member(name).is_none() && edits.member(other).is_none() {
        edits.set(name, value.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelFamily, ParamRules, Quirks};
    use callgate_json::joined;

    #[test]
    fn defaults_yield_to_the_client() {
        let body = Body::parse(r#"{"temperature":1,"max_tokens":5}"#.into()).unwrap();
        let mut edits = Edits::of(&body);
        for (name, value) in [
            ("temperature", serde_json::json!(0)),
            ("top_p", serde_json::json!(0.5)),
            ("max_completion_tokens", serde_json::json!(9)),
            ("top_k", serde_json::json!(3)),
        ] {
            add_default(&mut edits, name, &value);
        }
        let expected = r#"{"temperature":1,"max_tokens":5,"top_p":0.5,"top_k":3}"#;
        assert_eq!(joined(edits.render()), expected);
    }

    /// No attempt leaves anything in the call's body for the next one.
    #[test]
    fn a_second_attempt_is_made_from_what_the_client_sent() {
        let sent = r#"{"model":"m","extra_body":{"top_k":1},"metadata":{}}"#;
        let body = Body::parse(sent.into()).unwrap();
        for (model, choices) in [("one", 1), ("two", 3)] {
            let params = serde_json::json!({"n": choices, "seed": 7});
            let to = Destination {
                model,
                model_json: json_text(model),
                params: params.as_object().unwrap(),
                rules: &ParamRules::default(),
                family: ModelFamily::Any,
                stream: true,
                quirks: Quirks::default(),
                stream_usage: true,
            };
            let made = OpenAi.request(&body, &to).unwrap();
            let expected = format!(
                r#"{{"model":"{model}","top_k":1,"n":{choices},"seed":7,"stream_options":{{"include_usage":true}}}}"#
            );
            assert_eq!((joined(made.body), made.choices), (expected.into(), choices));
            assert_eq!(body.rendered(), sent);
        }
    }
}
