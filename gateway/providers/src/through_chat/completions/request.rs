//! Translates a request: the body of `POST /v1/completions` in, a chat's out.

use super::{ChatTarget, RequestError, Unsupported, is_true, list, member, object};
use crate::json_text::{JsonMembers, Str, kind, kind_of, push_string, set};
use callgate_json::{Body, joined, text as utf8};
use serde_json::value::RawValue;

/// The members that have a place of their own in a chat.
const TRANSLATED: [&str; 4] = ["logprobs", "model", "prompt", "stream"];

/// Members that ask for what no chat has, each with a value that asks for nothing.
const UNSUPPORTED: [(&str, &str); 3] = [("best_of", "1"), ("echo", "false"), ("suffix", "\"\"")];

/// The chat that a request asks for.
pub(in super::super) fn chat_request(
    body: &Body,
    to: &ChatTarget<'_>,
) -> Result<Vec<u8>, RequestError> {
    let json = joined(body.render());
    let mut members = object(utf8(&json), || "body".to_owned(), "a JSON object")?;
    members.retain(|_, value| set(Some(value)).is_some());
    let mut unsupported =
        Unsupported::new(to.rules.drop_unsupported || is_true(&members, "drop_params"));
    let mut out = Vec::with_capacity(json.len() + 128);
    out.extend_from_slice(b"{\"messages\":[{\"role\":\"user\",\"content\":");
    out.extend_from_slice(prompt(&members)?.as_bytes());
    out.extend_from_slice(b"}]");
    write_logprobs(&mut out, member(&members, "logprobs"))?;
    if to.stream {
        out.extend_from_slice(b",\"stream\":true");
    }
    for (Str(name), value) in &members {
        let name = &**name;
        if TRANSLATED.contains(&name) {
            continue;
        }
        match UNSUPPORTED.iter().find(|(known, _)| *known == name) {
            Some((_, nothing)) if value.get() == *nothing => {}
            Some(_) => unsupported.note(name),
            None => {
                out.push(b',');
                push_string(&mut out, name);
                out.push(b':');
                out.extend_from_slice(value.get().as_bytes());
            }
        }
    }
    unsupported.judge()?;
    out.push(b'}');
    Ok(out)
}

/// The text of the one prompt, as JSON. A chat answers no more than one, and takes no tokens.
fn prompt<'a>(members: &JsonMembers<'a>) -> Result<&'a str, RequestError> {
    let param = || "prompt".to_owned();
    let prompt =
        member(members, "prompt").ok_or_else(|| RequestError::Missing { param: param() })?;
    let remedy = "send one text";
    match kind(prompt) {
        "a string" => Ok(prompt.get()),
        "an array" => {
            let mut prompts = list(prompt, &param, "a string")?;
            match (prompts.next(), prompts.next()) {
                (Some(only), None) if kind_of(only) == "a string" => Ok(only),
                _ => Err(RequestError::NotTaken { param: param(), remedy }),
            }
        }
        found => Err(RequestError::WrongType { param: param(), expected: "a string", found }),
    }
}

/// Appends what a chat calls the probabilities of the tokens and of their alternatives.
fn write_logprobs(out: &mut Vec<u8>, wanted: Option<&RawValue>) -> Result<(), RequestError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let number: u8 = wanted.get().parse().map_err(|_| RequestError::WrongType {
        param: "logprobs".to_owned(),
        expected: "a number of tokens from 0 to 5",
        found: kind(wanted),
    })?;
    out.extend_from_slice(b",\"logprobs\":true");
    if number > 0 {
        out.extend_from_slice(format!(",\"top_logprobs\":{number}").as_bytes());
    }
    Ok(())
}
