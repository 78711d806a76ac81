//! Translates a request: the body of `POST /v1/completions` in, a chat's out.

use super::{
    ChatTarget, Json, KnownMembers, RequestError, RequestMembers, Unsupported, is_true, list,
    member, request,
};
use crate::json_text::kind_of;
use callgate_json::{Body, joined, text as utf8};

/// The members that are not simply copied.
const KNOWN: KnownMembers = KnownMembers {
    translated: &["logprobs", "model", "prompt", "stream"],
    indifferent: &[],
    unsupported: &[("best_of", "1"), ("echo", "false"), ("suffix", "\"\"")],
};

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
    let mut out = Vec::with_capacity(json.len() + 128);
    out.extend_from_slice(b"{\"messages\":[{\"role\":\"user\",\"content\":");
    out.extend_from_slice(prompt(&members)?.as_bytes());
    out.extend_from_slice(b"}]");
    write_logprobs(&mut out, member(&members, "logprobs"))?;
    if to.stream {
        out.extend_from_slice(b",\"stream\":true");
    }
    KNOWN.write_others(&mut out, &members, (to, &mut unsupported));
    unsupported.judge()?;
    out.push(b'}');
    Ok(out)
}

/// The text of the one prompt, as JSON. A chat answers no more than one, and takes no tokens.
fn prompt<'a>(members: &RequestMembers<'a>) -> Result<&'a str, RequestError> {
    let param = || "prompt".to_owned();
    let prompt =
        member(members, "prompt").ok_or_else(|| RequestError::Missing { param: param() })?;
    let remedy = "send one text";
    match prompt.kind() {
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
fn write_logprobs(out: &mut Vec<u8>, wanted: Option<Json<'_>>) -> Result<(), RequestError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let number: u8 = wanted.get().parse().map_err(|_| RequestError::WrongType {
        param: "logprobs".to_owned(),
        expected: "a number of tokens from 0 to 5",
        found: wanted.kind(),
    })?;
    out.extend_from_slice(b",\"logprobs\":true");
    if number > 0 {
        out.extend_from_slice(format!(",\"top_logprobs\":{number}").as_bytes());
    }
    Ok(())
}
