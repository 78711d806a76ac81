//! Translates a request: an OpenAI chat body in, the body of `POST /v1/messages` out. `messages`
//! has the turns, `tools` the tools; here are the parameters.

use super::{
    error::RequestError,
    messages::Turns,
    read::{decoded, member, object, text},
    tools::ToolParams,
};
use crate::{
    ParamRules,
    gateway_members::is_own,
    json_text::{JsonMembers, Str, Text, kind, push_string, set},
};
use serde_json::{Map, Value, value::RawValue};

/// Anthropic wants a limit for every answer; LiteLLM's default.
const MAX_TOKENS: u64 = 4096;

/// Parameters of OpenAI's that have a place of their own here.
const TRANSLATED: [&str; 17] = [
    "function_call",
    "functions",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "model",
    "n",
    "parallel_tool_calls",
    "reasoning_effort",
    "response_format",
    "stop",
    "stream",
    "stream_options",
    "tool_choice",
    "tools",
    "user",
    "extra_body",
];

/// Parameters of OpenAI's that Anthropic has nothing for, each with a value that asks for nothing.
const UNSUPPORTED: [(&str, &str); 20] = [
    ("audio", "null"),
    ("frequency_penalty", "0"),
    ("logit_bias", "{}"),
    ("logprobs", "false"),
    ("modalities", "[\"text\"]"),
    ("moderation", "null"),
    ("prediction", "null"),
    ("presence_penalty", "0"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", "null"),
    ("safety_identifier", "null"),
    ("seed", "null"),
    ("service_tier", "\"auto\""),
    ("store", "false"),
    ("suffix", "null"),
    ("top_logprobs", "0"),
    ("verbosity", "null"),
    ("web_search_options", "null"),
    ("logprob_start_len", "null"),
];

/// Those among them that change nothing about the answer.
const INDIFFERENT: [&str; 4] =
    ["prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store"];

/// What a request is made of besides the body.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessagesTarget<'a> {
    pub(super) model: &'a str,
    /// The deployment's parameters, for those the client does not set.
    pub(super) defaults: &'a Map<String, Value>,
    pub(super) rules: &'a ParamRules,
    pub(super) stream: bool,
}

/// Translates a body; `body` is the client's, with `extra_body` merged in.
pub(super) fn messages_request(
    body: &str,
    to: &MessagesTarget<'_>,
) -> Result<Vec<u8>, RequestError> {
    let mut client = object(body, || "body".to_owned(), "a JSON object")?;
    let drop_params = to.rules.drop_unsupported
        || member(&client, "drop_params").is_some_and(|it| it.get() == "true");
    client.retain(|_, value| set(Some(value)).is_some());
    let defaults = Value::Object(to.defaults.clone()).to_string();
    let mut members: JsonMembers<'_> = serde_json::from_str(&defaults).unwrap_or_default();
    // Two names of one limit: the client's value counts.
    if client.contains_key("max_tokens") || client.contains_key("max_completion_tokens") {
        members.remove("max_tokens");
        members.remove("max_completion_tokens");
    }
    members.extend(client);
    for name in &to.rules.leave_out {
        members.remove(name.as_str());
    }

    let list = member(&members, "messages")
        .ok_or_else(|| RequestError::Missing { param: "messages".to_owned() })?;
    // The messages come first: they are written where they stay, and may be large.
    let mut out = Vec::with_capacity(body.len() + body.len() / 4 + 512);
    out.extend_from_slice(b"{\"messages\":[");
    let Turns { system, messages: mut out, .. } = Turns::of(list, out)?;
    out.extend_from_slice(b"],\"model\":");
    push_string(&mut out, to.model);
    write_limits(&mut out, &members)?;
    if !system.is_empty() {
        members.remove("system");
        out.extend_from_slice(b",\"system\":[");
        out.extend_from_slice(&system);
        out.push(b']');
    }
    let own = |name| member(&members, name);
    let tools = ToolParams {
        tools: own("tools"),
        functions: own("functions"),
        tool_choice: own("tool_choice"),
        function_call: own("function_call"),
        parallel_tool_calls: own("parallel_tool_calls"),
        response_format: own("response_format"),
        thinks: thinking(&members)?.is_some() || own("thinking").is_some(),
    };
    tools.write(&mut out)?;
    write_stop(&mut out, &members)?;
    write_user(&mut out, &members)?;
    if to.stream {
        out.extend_from_slice(b",\"stream\":true");
    }
    write_others(&mut out, &members, (to.rules, drop_params))?;
    out.push(b'}');
    Ok(out)
}

/// Appends `max_tokens`, and `thinking` for a `reasoning_effort`.
fn write_limits(out: &mut Vec<u8>, members: &JsonMembers<'_>) -> Result<(), RequestError> {
    let limit = member(members, "max_completion_tokens").or_else(|| member(members, "max_tokens"));
    let budget = thinking(members)?;
    out.extend_from_slice(b",\"max_tokens\":");
    match limit {
        Some(limit) => out.extend_from_slice(limit.get().as_bytes()),
        // The budget for thoughts is a part of the limit.
        None => {
            let limit = MAX_TOKENS + budget.or_else(|| own_budget(members)).unwrap_or(0);
            out.extend_from_slice(limit.to_string().as_bytes());
        }
    }
    if let Some(budget) = budget {
        out.extend_from_slice(b",\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":");
        out.extend_from_slice(budget.to_string().as_bytes());
        out.push(b'}');
    }
    Ok(())
}

/// The budget of the client's own `thinking`.
fn own_budget(members: &JsonMembers<'_>) -> Option<u64> {
    let thinking: Value = serde_json::from_str(member(members, "thinking")?.get()).ok()?;
    thinking["budget_tokens"].as_u64()
}

/// The budget of tokens for a `reasoning_effort`, as LiteLLM gives it; none if the client sends
/// `thinking` itself.
fn thinking(members: &JsonMembers<'_>) -> Result<Option<u64>, RequestError> {
    if member(members, "thinking").is_some() {
        return Ok(None);
    }
    let path = || "reasoning_effort".to_owned();
    let Some(effort) = text(members, "reasoning_effort", path)? else { return Ok(None) };
    match effort.escaped() {
        "none" => Ok(None),
        "minimal" | "low" => Ok(Some(1024)),
        "medium" => Ok(Some(2048)),
        "high" | "xhigh" => Ok(Some(4096)),
        _ => Err(RequestError::NotTaken {
            param: path(),
            remedy: "send `none`, `minimal`, `low`, `medium` or `high`, or Anthropic's `thinking`",
        }),
    }
}

fn write_stop(out: &mut Vec<u8>, members: &JsonMembers<'_>) -> Result<(), RequestError> {
    let Some(stop) = member(members, "stop") else { return Ok(()) };
    match kind(stop) {
        "a string" => {
            out.extend_from_slice(b",\"stop_sequences\":[");
            out.extend_from_slice(stop.get().as_bytes());
            out.push(b']');
        }
        "an array" => {
            out.extend_from_slice(b",\"stop_sequences\":");
            out.extend_from_slice(stop.get().as_bytes());
        }
        found => {
            let expected = "a string or an array of strings";
            return Err(RequestError::WrongType { param: "stop".to_owned(), expected, found });
        }
    }
    Ok(())
}

/// Appends `metadata.user_id`, which is for an opaque id: an address or a number of a person is
/// not passed on, because Anthropic refuses it.
fn write_user(out: &mut Vec<u8>, members: &JsonMembers<'_>) -> Result<(), RequestError> {
    let path = || "user".to_owned();
    let Some(user) = text(members, "user", path)? else { return Ok(()) };
    let user = decoded(user, path)?;
    let is_personal = user.contains('@') || user.starts_with('+');
    if !user.is_empty() && !is_personal {
        out.extend_from_slice(b",\"metadata\":{\"user_id\":");
        push_string(out, &user);
        out.push(b'}');
    }
    Ok(())
}

/// Appends the parameters that are the same, or that Anthropic alone has. Refuses, or drops, those
/// that it does not have.
fn write_others(
    out: &mut Vec<u8>,
    members: &JsonMembers<'_>,
    (rules, drop_params): (&ParamRules, bool),
) -> Result<(), RequestError> {
    let mut unsupported = Vec::new();
    for (Str(name), value) in members {
        let name = &**name;
        if is_own(name) || (TRANSLATED.contains(&name) && name != "n") {
            continue;
        }
        if name == "n" {
            if value.get() != "1" {
                unsupported.push("n".to_owned());
            }
            continue;
        }
        let unknown_there = UNSUPPORTED.iter().find(|(known, _)| *known == name);
        match unknown_there.filter(|_| !rules.allows(name)) {
            Some((_, nothing)) => {
                let is_nothing = value.get() == *nothing || is_zero(value, nothing);
                if !is_nothing && !INDIFFERENT.contains(&name) {
                    unsupported.push(name.to_owned());
                }
            }
            None => {
                out.push(b',');
                push_string(out, name);
                out.push(b':');
                out.extend_from_slice(value.get().as_bytes());
            }
        }
    }
    if unsupported.is_empty() || drop_params {
        return Ok(());
    }
    Err(RequestError::Unsupported { names: unsupported })
}

/// Whether a number that asks for nothing is written differently: `0.0`.
fn is_zero(value: &RawValue, nothing: &str) -> bool {
    nothing == "0" && Text::of(value).is_none() && value.get().parse() == Ok(0.0_f64)
}

/// The deployment's parameters that Anthropic does not support.
pub(super) fn unfit(defaults: &Map<String, Value>) -> Vec<&str> {
    let is_unfit = |(name, value): &(&String, &Value)| {
        let row = UNSUPPORTED.iter().find(|(known, _)| known == name);
        row.is_some_and(|(_, nothing)| {
            let nothing: Value = serde_json::from_str(nothing).unwrap_or_default();
            **value != nothing && !INDIFFERENT.contains(&name.as_str())
        })
    };
    defaults.iter().filter(is_unfit).map(|(name, _)| name.as_str()).collect()
}
