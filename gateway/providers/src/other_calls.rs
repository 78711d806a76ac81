//! Calls of other kinds than chat at upstreams of OpenAI's dialect: requests and answers pass, with
//! the model's name, the deployment's defaults, and without members that upstreams must not see.

use super::{
    AnswerFault, CallKind, Destination, Echo, Outgoing, Translated, Usage, error_text::read_error,
    extra_body, gateway_members::is_own, stream_usage,
};
use callgate_failure::Failure;
use callgate_json::{Body, Edits, json_text, slices};
use serde::Deserialize;
use serde_json::Value;

/// The end of the URL of chats.
const CHAT: &str = "/chat/completions";

/// Paths that do not stand beside that of chats: the end of the URL of chats, and what replaces it.
const ELSEWHERE: [(CallKind, &str, &str); 1] =
    // Cohere's compatible API has no `rerank`.
    [(CallKind::Rerank, "/compatibility/v1/chat/completions", "/v2/rerank")];

/// The parameters of chats, which a deployment may have as defaults for its chats. Other kinds of
/// calls do not know them, except for those of `ALSO_OF`.
const OF_CHATS: [&str; 20] = [
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "modalities",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "stop",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
];

/// The parameters of chats that another kind of call knows, too.
const ALSO_OF: [(CallKind, &[&str]); 3] = [
    (
        CallKind::Completions,
        &[
            "frequency_penalty",
            "logit_bias",
            "logprobs",
            "max_tokens",
            "presence_penalty",
            "seed",
            "stop",
            "temperature",
            "top_p",
        ],
    ),
    (
        CallKind::Responses,
        &["parallel_tool_calls", "temperature", "tool_choice", "top_logprobs", "top_p"],
    ),
    (CallKind::Messages, &["max_tokens", "temperature", "top_p"]),
];

/// The URL of calls of a kind; `chat_url` is that of chats, perhaps with a query.
pub(crate) fn url(chat_url: &str, kind: CallKind) -> String {
    let (chats, query) = chat_url.split_at(chat_url.find('?').unwrap_or(chat_url.len()));
    let elsewhere = ELSEWHERE.iter().filter(|(of, ..)| *of == kind);
    let mut moved = elsewhere.filter_map(|(_, end, path)| Some((chats.strip_suffix(end)?, *path)));
    let beside = || (chats.strip_suffix(CHAT).unwrap_or(chats), kind.path());
    let (base, path) = moved.next().unwrap_or_else(beside);
    [base, path, query].concat()
}

/// Builds a request.
pub(crate) fn request(
    kind: CallKind,
    body: &Body,
    to: &Destination<'_>,
) -> Result<Outgoing, Failure> {
    let mut edits = Edits::of(body);
    edits.set("model", to.model_json.clone());
    extra_body::merge(&mut edits)?;
    let kept_back = |name: &[u8]| is_for_gateway(kind, name) || to.rules.leaves_out(name);
    edits.remove_all(kept_back);
    for (name, value) in to.params {
        if knows(kind, name, value) && !kept_back(name.as_bytes()) && edits.member(name).is_none() {
            edits.set(name, value.to_string());
        }
    }
    if kind == CallKind::Completions && to.stream && to.stream_usage && !to.quirks.no_stream_options
    {
        stream_usage::ask(&mut edits);
    }
    to.rules.cut(&mut edits);
    Ok(Outgoing { body: edits.render(), choices: 1, base64: false, headers: &[] })
}

/// Whether a member is for the gateway only. These APIs have a `metadata` of their own.
fn is_for_gateway(kind: CallKind, name: &[u8]) -> bool {
    let has_metadata = matches!(kind, CallKind::Responses | CallKind::Messages);
    is_own(name) && !(has_metadata && name == b"metadata")
}

/// Whether a default can be meant for such a call. A chat's `response_format` is an object, that
/// of pictures a text.
fn knows(kind: CallKind, name: &str, value: &Value) -> bool {
    // What is counted is the client's prompt.
    if kind == CallKind::CountTokens {
        return false;
    }
    let is_of_chats = OF_CHATS.contains(&name) || name == "response_format" && value.is_object();
    let mut also = ALSO_OF.iter().filter(|(of, _)| *of == kind);
    !is_of_chats || also.any(|(_, names)| names.contains(&name))
}

/// Judges an answer and passes it.
pub(crate) fn reply(
    kind: CallKind,
    mut body: Body,
    echo: &Echo,
) -> Result<Translated, AnswerFault> {
    let is_there = |name: &str| body.member(name).is_some_and(|json| *json != *b"null");
    if body.member("error").is_some_and(|error| !slices::is_blank(&error))
        || !kind.answers().iter().any(|name| is_there(name))
    {
        let otherwise = || AnswerFault::Malformed(missing(kind));
        return Err(read_error(body.original()).map_or_else(otherwise, AnswerFault::Upstream));
    }
    let usage = body.member("usage").and_then(|json| usage(&json));
    let passes = matches!(kind, CallKind::Responses | CallKind::Messages);
    if !passes && body.member("model").is_some() {
        body.set("model", json_text(&echo.model));
    }
    Ok(Translated { body: body.render(), usage })
}

fn missing(kind: CallKind) -> String {
    format!("it has no `{}`", kind.answers().join("` or `"))
}

/// Token counts, by the names of chats or by those of newer endpoints.
#[derive(Debug, Deserialize)]
pub(crate) struct Counts {
    #[serde(alias = "input_tokens")]
    pub(crate) prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    pub(crate) completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let given = [counts.prompt_tokens, counts.completion_tokens];
        let [prompt_tokens, completion_tokens] = given.map(Option::unwrap_or_default);
        let sum = prompt_tokens.saturating_add(completion_tokens);
        let total_tokens = counts.total_tokens.unwrap_or(sum);
        // Some count nothing but the sum.
        let prompt_tokens = if given == [None, None] { total_tokens } else { prompt_tokens };
        Self { prompt_tokens, completion_tokens, total_tokens }
    }
}

/// The token counts of an answer; `None` if it has none.
pub(crate) fn counts(json: &[u8]) -> Option<Counts> {
    serde_json::from_slice(json).ok()
}

/// The same with all numbers.
pub(crate) fn usage(json: &[u8]) -> Option<Usage> {
    counts(json).map(Usage::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelFamily, ParamRules};
    use callgate_json::joined;

    #[test]
    fn the_url_of_each_kind_stands_beside_that_of_chats() {
        for (chats, kind, expected) in [
            ("http://h/v1/chat/completions", CallKind::Embeddings, "http://h/v1/embeddings"),
            ("http://h/v1/chat/completions", CallKind::Chat, "http://h/v1/chat/completions"),
            ("http://h/v1/chat/completions", CallKind::Images, "http://h/v1/images/generations"),
            (
                "https://h/openai/deployments/d/chat/completions?api-version=1",
                CallKind::Embeddings,
                "https://h/openai/deployments/d/embeddings?api-version=1",
            ),
            (
                "https://api.cohere.ai/compatibility/v1/chat/completions",
                CallKind::Rerank,
                "https://api.cohere.ai/v2/rerank",
            ),
            (
                "https://api.cohere.ai/compatibility/v1/chat/completions",
                CallKind::Embeddings,
                "https://api.cohere.ai/compatibility/v1/embeddings",
            ),
        ] {
            assert_eq!(url(chats, kind), expected);
        }
    }

    #[test]
    fn requests_pass_with_the_model_and_the_defaults_that_fit() {
        let sent = r#"{ "model":"m", "input" : ["a", [1,2]], "encoding_format":"base64",
            "extra_body":{"truncate":true}, "caching":true, "user":"u" }"#;
        let params = serde_json::json!({"dimensions": 8, "temperature": 1, "user": "d",
            "response_format": {"type": "text"}, "secret": 1});
        let to = Destination {
            model: "up",
            model_json: json_text("up"),
            params: params.as_object().unwrap(),
            rules: &ParamRules { leave_out: vec!["secret".to_owned()], ..ParamRules::default() },
            family: ModelFamily::Any,
            stream: false,
            quirks: crate::Quirks::default(),
            stream_usage: true,
        };
        let body = Body::parse(sent.into()).unwrap();
        let made = joined(request(CallKind::Embeddings, &body, &to).unwrap().body);
        let made: Value = serde_json::from_slice(&made).unwrap();
        let expected = serde_json::json!({"model": "up", "input": ["a", [1, 2]],
            "encoding_format": "base64", "truncate": true, "user": "u", "dimensions": 8});
        assert_eq!(made, expected);
    }

    #[test]
    fn defaults_of_chats_go_to_the_kinds_that_know_them() {
        let params = serde_json::json!({"temperature": 0, "max_tokens": 5, "seed": 1,
            "tools": [], "top_k": 3});
        for (kind, expected) in [
            (CallKind::Embeddings, vec!["top_k"]),
            (CallKind::Completions, vec!["temperature", "max_tokens", "seed", "top_k"]),
            (CallKind::Responses, vec!["temperature", "top_k"]),
            (CallKind::Messages, vec!["temperature", "max_tokens", "top_k"]),
            (CallKind::CountTokens, vec![]),
        ] {
            let params = params.as_object().unwrap().iter();
            let known = params.filter(|(name, value)| knows(kind, name, value));
            assert_eq!(known.map(|(name, _)| &**name).collect::<Vec<_>>(), expected, "{kind:?}");
        }
    }

    #[test]
    fn answers_are_judged_by_their_kind() {
        let echo = Echo { id: "i".into(), created: 1, model: "m".into() };
        let answer =
            |kind, json: &str| reply(kind, Body::parse(json.to_owned().into()).unwrap(), &echo);
        let passed = answer(
            CallKind::Embeddings,
            r#"{"object":"list","data":[],"model":"up","usage":{"prompt_tokens":5,"total_tokens":5}}"#,
        )
        .unwrap();
        let counted = Usage { prompt_tokens: 5, completion_tokens: 0, total_tokens: 5 };
        assert_eq!(passed.usage, Some(counted));
        assert_eq!(
            joined(passed.body),
            r#"{"object":"list","data":[],"model":"m","usage":{"prompt_tokens":5,"total_tokens":5}}"#
        );
        for (kind, json, expected) in [
            (CallKind::Embeddings, r#"{"error":{"message":"words"}}"#, "words"),
            (CallKind::Embeddings, r#"{"data":[],"error":{"message":"words"}}"#, "words"),
            (CallKind::Embeddings, r#"{"detail":"words"}"#, "words"),
            (CallKind::Embeddings, r#"{"data":null}"#, "it has no `data`"),
            (CallKind::Moderations, "{}", "it has no `results`"),
            (CallKind::Rerank, "{}", "it has no `results` or `data`"),
        ] {
            let fault = answer(kind, json).unwrap_err();
            assert!(format!("{fault:?}").contains(expected), "{json}: {fault:?}");
        }
        assert!(answer(CallKind::Rerank, r#"{"results":[],"error":null}"#).is_ok());
    }

    #[test]
    fn tokens_are_counted_by_any_of_the_names() {
        for (json, expected) in [
            (r#"{"prompt_tokens":3,"total_tokens":3}"#, Some([3, 0, 3])),
            (r#"{"input_tokens":3,"output_tokens":4}"#, Some([3, 4, 7])),
            (r#"{"input_tokens":3,"output_tokens":4,"total_tokens":9,"x":{}}"#, Some([3, 4, 9])),
            (r#"{"total_tokens":9}"#, Some([9, 0, 9])),
            (r#"{"prompt_tokens":"3"}"#, None),
            ("null", None),
        ] {
            let found = usage(json.as_bytes());
            let found = found.map(|it| [it.prompt_tokens, it.completion_tokens, it.total_tokens]);
            assert_eq!(found, expected, "{json}");
        }
    }
}
