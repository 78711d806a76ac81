//! Translates a request: the body of `POST /v1/responses` in, a chat's out.

use super::{
    ChatTarget, KnownMembers, RequestError, RequestMembers, Unsupported,
    conversation::Conversation,
    is_true, member, object, request, required, text,
    tools::{write_choice, write_tools},
};
use crate::json_text::{Piece, push_string};
use callgate_json::{Body, joined, text as utf8};

/// The members that are not simply copied. `store` is indifferent because the answer says that
/// nothing is stored.
const KNOWN: KnownMembers = KnownMembers {
    translated: &[
        "input",
        "instructions",
        "max_output_tokens",
        "model",
        "parallel_tool_calls",
        "reasoning",
        "stream",
        "stream_options",
        "text",
        "tool_choice",
        "tools",
    ],
    indifferent: &[
        "include",
        "max_tool_calls",
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
    ],
    unsupported: &[
        ("background", "false"),
        ("context_management", "[]"),
        ("top_logprobs", "0"),
        ("truncation", "\"disabled\""),
    ],
};

/// RequestMembers that stand for a part of the prompt that is stored elsewhere.
const STORED: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// The chat that a request asks for.
pub(in super::super) fn chat_request(
    body: &Body,
    to: &ChatTarget<'_>,
) -> Result<Vec<u8>, RequestError> {
    let json = joined(body.render());
    let mut members = request(utf8(&json))?;
    members.remove_all(|name| to.rules.leaves_out(name.as_bytes()));
    if let Some(name) = STORED.iter().find(|name| members.has(name)) {
        return Err(RequestError::NotTaken {
            param: (*name).to_owned(),
            remedy: "nothing is stored for it; send the whole conversation in `input`",
        });
    }
    let mut unsupported =
        Unsupported::new(to.rules.drop_unsupported || is_true(&members, "drop_params"));
    let mut out = Vec::with_capacity(json.len() + json.len() / 8 + 512);
    out.extend_from_slice(b"{\"messages\":[");
    Conversation::write(&mut out, &members, &mut unsupported)?;
    out.push(b']');
    if let Some(limit) = member(&members, "max_output_tokens") {
        push(&mut out, "max_tokens", limit.get().as_bytes());
    }
    write_effort(&mut out, &members)?;
    write_format(&mut out, &members)?;
    if write_tools(&mut out, member(&members, "tools"), &mut unsupported)? {
        write_choice(&mut out, member(&members, "tool_choice"), &mut unsupported)?;
        if let Some(parallel) = member(&members, "parallel_tool_calls") {
            push(&mut out, "parallel_tool_calls", parallel.get().as_bytes());
        }
    }
    if to.stream {
        out.extend_from_slice(b",\"stream\":true");
    }
    KNOWN.write_others(&mut out, &members, (to, &mut unsupported));
    unsupported.judge()?;
    out.push(b'}');
    Ok(out)
}

/// Appends `,"name":json`.
fn push(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(json);
}

fn write_effort(out: &mut Vec<u8>, members: &RequestMembers<'_>) -> Result<(), RequestError> {
    let Some(reasoning) = member(members, "reasoning") else { return Ok(()) };
    let reasoning = object(reasoning.get(), || "reasoning".to_owned(), "an object")?;
    if let Some(effort) = text(&reasoning, "effort", || "reasoning.effort".to_owned())? {
        push(out, "reasoning_effort", Piece::Source(effort).json());
    }
    Ok(())
}

/// Appends `response_format` and `verbosity`.
fn write_format(out: &mut Vec<u8>, members: &RequestMembers<'_>) -> Result<(), RequestError> {
    let Some(config) = member(members, "text") else { return Ok(()) };
    let config = object(config.get(), || "text".to_owned(), "an object")?;
    if let Some(verbosity) = text(&config, "verbosity", || "text.verbosity".to_owned())? {
        push(out, "verbosity", Piece::Source(verbosity).json());
    }
    let Some(format) = member(&config, "format") else { return Ok(()) };
    let format = object(format.get(), || "text.format".to_owned(), "an object with a `type`")?;
    let kind = required(&format, "type", || "text.format.type".to_owned())?;
    match kind.escaped() {
        "text" => {}
        "json_object" => push(out, "response_format", b"{\"type\":\"json_object\"}"),
        "json_schema" => {
            let path = || "text.format.schema".to_owned();
            let schema =
                member(&format, "schema").ok_or_else(|| RequestError::Missing { param: path() })?;
            let name = text(&format, "name", || "text.format.name".to_owned())?;
            push(out, "response_format", b"{\"type\":\"json_schema\",\"json_schema\":{\"name\":");
            match name {
                Some(name) => Piece::Source(name).write(out),
                None => push_string(out, "answer"),
            }
            push(out, "schema", schema.get().as_bytes());
            for name in ["description", "strict"] {
                if let Some(value) = member(&format, name) {
                    push(out, name, value.get().as_bytes());
                }
            }
            out.extend_from_slice(b"}}");
        }
        _ => {
            let remedy = "send `text`, `json_object` or `json_schema`";
            return Err(RequestError::NotTaken { param: "text.format.type".to_owned(), remedy });
        }
    }
    Ok(())
}
