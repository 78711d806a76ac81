//! Embeddings: OpenAI's request becomes the body of `POST /api/embed`, and its answer a list.

use super::{
    error::{ReplyError, TranslateError, read_error_member},
    json::{JsonMembers, elements, kind_of, problem, push_string},
    params::is_runtime_option,
};
use crate::{Echo, ParamRules, Usage, error_text::read_error, gateway_members::is_own};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use std::collections::BTreeMap;

/// The members that Ollama has with the same meaning.
const SAME: [&str; 3] = ["dimensions", "truncate", "keep_alive"];

/// Members whose loss changes no vector.
const WITHOUT_EFFECT: [&str; 3] = ["stream", "stream_options", "user"];

/// A translated request.
#[derive(Debug)]
pub(super) struct EmbedRequest {
    pub(super) body: Vec<u8>,
    /// The client wants base64, which Ollama does not write.
    pub(super) base64: bool,
}

/// The members of a request so far.
#[derive(Debug, Default)]
struct Taken<'a> {
    same: BTreeMap<&'static str, &'a RawValue>,
    options: BTreeMap<String, &'a RawValue>,
    unknown: Vec<String>,
}

/// Translates a request. `defaults` are the deployment's parameters, of which those that are meant
/// for chats have no effect.
pub(super) fn embed_request(
    body: &[u8],
    upstream_model: &str,
    defaults: &Map<String, Value>,
    rules: &ParamRules,
) -> Result<EmbedRequest, TranslateError> {
    let mut members: JsonMembers<'_> = serde_json::from_slice(body)
        .map_err(|error| TranslateError::NotJson { reason: problem(&error) })?;
    let defaults = serde_json::to_string(defaults).unwrap_or_default();
    let mut defaults: JsonMembers<'_> = serde_json::from_str(&defaults).unwrap_or_default();
    for name in &rules.leave_out {
        members.remove(name.as_str());
        defaults.remove(name.as_str());
    }
    let input = members.remove("input").ok_or_else(|| missing("input"))?;
    check_input(input)?;
    let base64 = members.remove("encoding_format").map_or(Ok(false), wants_base64)?;
    let mut taken = Taken::default();
    taken.add(&defaults)?;
    taken.unknown.clear();
    taken.add(&members)?;
    let asks_to_drop = members.get("drop_params").is_some_and(|value| value.get() == "true");
    if !rules.drop_unsupported && !asks_to_drop && !taken.unknown.is_empty() {
        return Err(TranslateError::UnsupportedParams { names: taken.unknown });
    }
    let mut out = b"{\"model\":".to_vec();
    push_string(&mut out, upstream_model);
    out.extend_from_slice(b",\"input\":");
    out.extend_from_slice(input.get().as_bytes());
    taken.write(&mut out);
    out.push(b'}');
    Ok(EmbedRequest { body: out, base64 })
}

impl<'a> Taken<'a> {
    fn add(&mut self, members: &JsonMembers<'a>) -> Result<(), TranslateError> {
        for (name, value) in members {
            let name = &*name.0;
            if value.get() == "null" {
                continue;
            }
            if let Some(same) = SAME.into_iter().find(|same| *same == name) {
                self.same.insert(same, value);
            } else if name == "options" {
                let options: JsonMembers<'a> = serde_json::from_str(value.get())
                    .map_err(|_| wrong("options", "an object", value.get()))?;
                let named = options.into_iter().map(|(name, value)| (name.0.into_owned(), value));
                self.options.extend(named);
            } else if is_runtime_option(name) {
                self.options.insert(name.to_owned(), value);
            } else if name != "model" && !is_own(name) && !WITHOUT_EFFECT.contains(&name) {
                self.unknown.push(name.to_owned());
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.same {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
        if self.options.is_empty() {
            return;
        }
        out.extend_from_slice(b",\"options\":{");
        for (index, (name, value)) in self.options.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            push_string(out, name);
            out.push(b':');
            out.extend_from_slice(value.get().as_bytes());
        }
        out.push(b'}');
    }
}

fn missing(param: &str) -> TranslateError {
    TranslateError::Missing { param: param.to_owned() }
}

fn wrong(param: &str, expected: &'static str, found: &str) -> TranslateError {
    TranslateError::WrongType { param: param.to_owned(), expected, found: kind_of(found) }
}

/// Ollama takes texts, and no tokens.
fn check_input(input: &RawValue) -> Result<(), TranslateError> {
    let expected = "a text or a list of texts, because Ollama takes no tokens";
    let Some(texts) = elements(input) else {
        return match input.get().as_bytes() {
            [b'"', ..] => Ok(()),
            _ => Err(wrong("input", expected, input.get())),
        };
    };
    for (index, text) in texts.enumerate() {
        if !text.starts_with('"') {
            return Err(wrong(
                &format!("input[{index}]"),
                "a text, because Ollama takes no tokens",
                text,
            ));
        }
    }
    Ok(())
}

fn wants_base64(format: &RawValue) -> Result<bool, TranslateError> {
    match format.get() {
        r#""base64""# => Ok(true),
        r#""float""# | "null" => Ok(false),
        other => Err(wrong("encoding_format", "`float` or `base64`", other)),
    }
}

/// The answer of `/api/embed`; durations are left out.
#[derive(Debug, Deserialize)]
struct EmbedReply<'a> {
    #[serde(borrow)]
    embeddings: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    prompt_eval_count: Option<u64>,
}

/// Translates an answer into OpenAI's list.
pub(super) fn embed_reply(
    body: &[u8],
    echo: &Echo,
    base64: bool,
) -> Result<(Vec<u8>, Usage), ReplyError> {
    let malformed = |reason| ReplyError::Malformed { reason };
    let reply: EmbedReply<'_> =
        serde_json::from_slice(body).map_err(|error| malformed(problem(&error)))?;
    if let Some(error) = reply.error.filter(|error| !matches!(error.get(), "\"\"" | "{}" | "null"))
    {
        return Err(ReplyError::Upstream(read_error_member(error)));
    }
    let Some(embeddings) = reply.embeddings else {
        let other = malformed("it has no `embeddings`".to_owned());
        return Err(read_error(body).map_or(other, ReplyError::Upstream));
    };
    let mut out = Vec::with_capacity(body.len() + 64 * embeddings.len() + 256);
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (index, embedding) in embeddings.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let head = format!("{comma}{{\"object\":\"embedding\",\"index\":{index},\"embedding\":");
        out.extend_from_slice(head.as_bytes());
        let numbers: Vec<f32> = if base64 { floats(embedding).map_err(malformed)? } else { vec![] };
        if base64 {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            push_string(&mut out, &STANDARD.encode(bytes));
        } else {
            out.extend_from_slice(embedding.get().as_bytes());
        }
        out.push(b'}');
    }
    let prompt_tokens = reply.prompt_eval_count.unwrap_or_default();
    out.extend_from_slice(b"],\"model\":");
    push_string(&mut out, &echo.model);
    let usage = format!(
        ",\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"total_tokens\":{prompt_tokens}}}}}"
    );
    out.extend_from_slice(usage.as_bytes());
    Ok((out, Usage { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens }))
}

fn floats(embedding: &RawValue) -> Result<Vec<f32>, String> {
    serde_json::from_str(embedding.get()).map_err(|error| problem(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(body: &Value, drop_params: bool) -> Result<(Value, bool), TranslateError> {
        let defaults = json!({"temperature": 0.5, "keep_alive": "5m", "dimensions": 4,
            "response_format": {"type": "text"}});
        let made = embed_request(
            body.to_string().as_bytes(),
            "up",
            defaults.as_object().unwrap(),
            &ParamRules {
                drop_unsupported: drop_params,
                leave_out: vec!["temperature".to_owned()],
                ..ParamRules::default()
            },
        )?;
        Ok((serde_json::from_slice(&made.body).unwrap(), made.base64))
    }

    #[test]
    fn texts_pass_with_what_ollama_knows() {
        for (asked, expected, base64) in [
            (
                json!({"model": "m", "input": "a"}),
                json!({"model": "up", "input": "a", "dimensions": 4, "keep_alive": "5m"}),
                false,
            ),
            (
                json!({"model": "m", "input": ["a", "b"], "dimensions": 2, "user": "u",
                    "encoding_format": "base64", "num_ctx": 9, "caching": true,
                    "options": {"num_gpu": 1}}),
                json!({"model": "up", "input": ["a", "b"], "dimensions": 2, "keep_alive": "5m",
                    "options": {"num_ctx": 9, "num_gpu": 1}}),
                true,
            ),
        ] {
            assert_eq!(request(&asked, false).unwrap(), (expected, base64));
        }
    }

    #[test]
    fn what_ollama_cannot_do_is_refused_by_name() {
        for (asked, message) in [
            (json!({"input": [1, 2]}), "`input[0]` must be a text, because Ollama takes no tokens"),
            (json!({"input": [[1]]}), "`input[0]` must be a text"),
            (json!({"input": 7}), "`input` must be a text or a list of texts"),
            (json!({"model": "m"}), "missing required parameter: `input`"),
            (json!({"input": "a", "encoding_format": "hex"}), "must be `float` or `base64`"),
            (json!({"input": "a", "novel": 1}), "does not support `novel`"),
        ] {
            let error = request(&asked, false).unwrap_err().message();
            assert!(error.contains(message), "{asked}: {error}");
        }
        assert!(request(&json!({"input": "a", "novel": 1}), true).is_ok());
    }

    #[test]
    fn answers_become_openais_list() {
        let echo = Echo { id: "i".into(), created: 1, model: "m".into() };
        let answer = r#"{"model":"up","embeddings":[[1, -0.5],[0.25,2]],"prompt_eval_count":7}"#;
        let (floats, usage) = embed_reply(answer.as_bytes(), &echo, false).unwrap();
        let expected = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1, -0.5]},{"object":"embedding","index":1,"embedding":[0.25,2]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#;
        assert_eq!(String::from_utf8(floats).unwrap(), expected);
        assert_eq!(usage, Usage { prompt_tokens: 7, completion_tokens: 0, total_tokens: 7 });
        let (encoded, _) = embed_reply(answer.as_bytes(), &echo, true).unwrap();
        let encoded: Value = serde_json::from_slice(&encoded).unwrap();
        assert_eq!(encoded["data"][0]["embedding"], "AACAPwAAAL8=");
        for (answer, expected) in [
            (r#"{"error":"words"}"#, "words"),
            (r#"{"detail":"words"}"#, "words"),
            ("{}", "no `embeddings`"),
            (r#"{"embeddings":7}"#, "unexpected kind of value"),
        ] {
            let error = embed_reply(answer.as_bytes(), &echo, false).unwrap_err();
            assert!(format!("{error:?}").contains(expected), "{answer}: {error:?}");
        }
    }
}
