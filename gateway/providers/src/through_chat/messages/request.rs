//! Translates a request: the body of `POST /v1/messages` in, a chat's out.

use super::{
    ChatTarget, KnownMembers, RequestError, RequestMembers, Unsupported,
    conversation::Conversation,
    is_true, list, member, object, request, required, text,
    tools::{write_choice, write_tools},
};
use crate::json_text::push_string;
use callgate_json::{Body, joined, text as utf8};

/// The members that are not simply copied.
const KNOWN: KnownMembers = KnownMembers {
    translated: &[
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "output_config",
        "output_format",
        "stop_sequences",
        "stream",
        "system",
        "thinking",
        "tool_choice",
        "tools",
    ],
    indifferent: &["cache_control", "context_management", "service_tier", "speed"],
    unsupported: &[("container", "null"), ("inference_geo", "null"), ("mcp_servers", "[]")],
};

/// From these budgets on, thoughts are a middling and a high effort.
const EFFORTS: [(f64, &str); 3] = [(10_000.0, "high"), (5_000.0, "medium"), (0.0, "low")];

/// The longest `user` that OpenAI takes.
const USER: usize = 64;

/// The chat that a request asks for.
pub(in super::super) fn chat_request(
    body: &Body,
    to: &ChatTarget<'_>,
) -> Result<Vec<u8>, RequestError> {
    let json = joined(body.render());
    let mut members = request(utf8(&json))?;
    members.remove_all(|name| to.rules.leaves_out(name.as_bytes()));
    let mut unsupported =
        Unsupported::new(to.rules.drop_unsupported || is_true(&members, "drop_params"));
    let mut out = Vec::with_capacity(json.len() + json.len() / 8 + 512);
    out.extend_from_slice(b"{\"messages\":[");
    Conversation::write(&mut out, &members, &mut unsupported)?;
    out.push(b']');
    write_limit(&mut out, &members);
    write_stop(&mut out, &members)?;
    write_user(&mut out, &members)?;
    write_effort(&mut out, &members)?;
    write_format(&mut out, &members)?;
    if write_tools(&mut out, member(&members, "tools"), &mut unsupported)? {
        write_choice(&mut out, member(&members, "tool_choice"))?;
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

fn write_limit(out: &mut Vec<u8>, members: &RequestMembers<'_>) {
    if let Some(limit) = member(members, "max_tokens") {
        push(out, "max_tokens", limit.get().as_bytes());
    }
}

fn write_stop(out: &mut Vec<u8>, members: &RequestMembers<'_>) -> Result<(), RequestError> {
    let Some(stop) = member(members, "stop_sequences") else { return Ok(()) };
    let path = || "stop_sequences".to_owned();
    if list(stop, &path, "an array of strings")?.next().is_some() {
        push(out, "stop", stop.get().as_bytes());
    }
    Ok(())
}

/// Appends `user`, cut to the length that OpenAI takes: the start of an id still tells its holder.
fn write_user(out: &mut Vec<u8>, members: &RequestMembers<'_>) -> Result<(), RequestError> {
    let Some(metadata) = member(members, "metadata") else { return Ok(()) };
    let metadata = object(metadata.get(), || "metadata".to_owned(), "an object")?;
    let Some(user) = text(&metadata, "user_id", || "metadata.user_id".to_owned())? else {
        return Ok(());
    };
    let user = user.decode_lossy();
    let end = user.char_indices().nth(USER).map_or(user.len(), |(at, _)| at);
    if end > 0 {
        out.extend_from_slice(b",\"user\":");
        push_string(out, &user[..end]);
    }
    Ok(())
}

/// Appends `reasoning_effort`: the effort that the client names, or the one of its budget.
fn write_effort(out: &mut Vec<u8>, members: &RequestMembers<'_>) -> Result<(), RequestError> {
    if member(members, "reasoning_effort").is_some() {
        return Ok(());
    }
    let config = output_config(members)?;
    let path = || "output_config.effort".to_owned();
    if let Some(effort) = text(&config, "effort", path)? {
        // Chats have no effort above the high one that all providers know.
        let effort = if effort.escaped() == "max" { "high" } else { effort.escaped() };
        push(out, "reasoning_effort", format!("\"{effort}\"").as_bytes());
        return Ok(());
    }
    let Some(thinking) = member(members, "thinking") else { return Ok(()) };
    let thinking = object(thinking.get(), || "thinking".to_owned(), "an object with a `type`")?;
    let way = required(&thinking, "type", || "thinking.type".to_owned())?;
    if way.escaped() != "enabled" {
        return Ok(());
    }
    let budget = member(&thinking, "budget_tokens")
        .ok_or_else(|| RequestError::Missing { param: "thinking.budget_tokens".to_owned() })?;
    let tokens: f64 = budget.get().parse().map_err(|_| RequestError::WrongType {
        param: "thinking.budget_tokens".to_owned(),
        expected: "a number",
        found: budget.kind(),
    })?;
    if let Some((_, effort)) = EFFORTS.iter().find(|(from, _)| tokens >= *from) {
        push(out, "reasoning_effort", format!("\"{effort}\"").as_bytes());
    }
    Ok(())
}

fn output_config<'a>(members: &RequestMembers<'a>) -> Result<RequestMembers<'a>, RequestError> {
    match member(members, "output_config") {
        Some(config) => object(config.get(), || "output_config".to_owned(), "an object"),
        None => Ok(RequestMembers::default()),
    }
}

/// Appends `response_format` for an answer by a JSON Schema.
fn write_format(out: &mut Vec<u8>, members: &RequestMembers<'_>) -> Result<(), RequestError> {
    let config = output_config(members)?;
    let (format, path) = match member(&config, "format") {
        Some(format) => (format, "output_config.format"),
        None => match member(members, "output_format") {
            Some(format) => (format, "output_format"),
            None => return Ok(()),
        },
    };
    let format = object(format.get(), || path.to_owned(), "an object with a `schema`")?;
    let of = required(&format, "type", || format!("{path}.type"))?;
    if of.escaped() != "json_schema" {
        let remedy = "send `json_schema`";
        return Err(RequestError::NotTaken { param: format!("{path}.type"), remedy });
    }
    let schema = member(&format, "schema")
        .ok_or_else(|| RequestError::Missing { param: format!("{path}.schema") })?;
    out.extend_from_slice(
        b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"answer\",\
          \"strict\":true,\"schema\":",
    );
    out.extend_from_slice(schema.get().as_bytes());
    out.extend_from_slice(b"}}");
    Ok(())
}
