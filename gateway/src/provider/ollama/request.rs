//! The request: an OpenAI chat body in, the body of `POST /api/chat` out.
//!
//! One pass over the client's bytes finds the members and messages, a second writes the new body; nothing is
//! rebuilt through a tree. Where parameters go is decided in `params`, how messages look in `messages`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::error::TranslateError;
use super::json::{Members, Str, kind, problem, push_string, set};
use super::messages::{Message, write_message};
use super::params::Params;
use super::params::tables::is_internal;

/// What is added around the client's own bytes: keys, `images` and the model's name.
const ROOM: usize = 512;

/// Translates an OpenAI chat request into the body of `POST /api/chat`.
///
/// `upstream_model` is Ollama's name for the model. `defaults` are the deployment's own parameters, in either
/// API's spelling; what the client sends wins. With `drop_params`, parameters Ollama does not know are left out
/// instead of refused.
///
/// # Errors
/// A body that is not a chat request, content Ollama cannot take, or parameters it does not support.
pub(crate) fn chat_request(
    body: &[u8],
    upstream_model: &str,
    defaults: &Map<String, Value>,
    drop_params: bool,
) -> Result<Vec<u8>, TranslateError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| TranslateError::NotJson { reason: error.to_string() })?;
    let Body { messages, mut members } = Body::parse(text)?;
    merge_extra_body(&mut members)?;
    let messages =
        messages.ok_or_else(|| TranslateError::Missing { param: "messages".to_owned() })?;
    let stream = streams(&members)?;

    let defaults = serde_json::to_string(defaults).unwrap_or_default();
    let mut defaults = serde_json::from_str(&defaults).unwrap_or_default();
    merge_extra_body(&mut defaults)?;
    let mut params = Params::new(upstream_model, drop_params);
    params.apply(&defaults)?;
    params.apply(&members)?;
    params.check()?;

    let mut out = Vec::with_capacity(text.len() + ROOM + messages.len() * 16);
    out.extend_from_slice(b"{\"model\":");
    push_string(&mut out, upstream_model);
    out.extend_from_slice(b",\"messages\":[");
    for (at, message) in messages.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_message(&mut out, at, message)?;
    }
    out.extend_from_slice(b"],\"stream\":");
    out.extend_from_slice(if stream { b"true" } else { b"false" });
    params.write(&mut out);
    out.push(b'}');
    Ok(out)
}

/// The client's body: messages ready to be written, everything else by name.
#[derive(Debug, Default)]
struct Body<'a> {
    messages: Option<Vec<Message<'a>>>,
    members: Members<'a>,
}

impl<'a> Body<'a> {
    fn parse(text: &'a str) -> Result<Self, TranslateError> {
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                misfit(text)
            } else {
                TranslateError::NotJson { reason: problem(&error) }
            }
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Body<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BodyVisitor)
    }
}

struct BodyVisitor;

impl<'de> Visitor<'de> for BodyVisitor {
    type Value = Body<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a chat request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut body = Body::default();
        while let Some(key) = map.next_key::<Str<'de>>()? {
            if key.0 == "messages" {
                body.messages = map.next_value()?;
            } else {
                body.members.insert(key, map.next_value()?);
            }
        }
        Ok(body)
    }
}

/// Finds which value kept well-formed JSON from being a chat request. A second look, so that the first need not
/// carry what only errors use.
fn misfit(text: &str) -> TranslateError {
    let wrong = |param: String, expected, found: &RawValue| TranslateError::WrongType {
        param,
        expected,
        found: kind(found),
    };
    let members = match serde_json::from_str::<&RawValue>(text) {
        Err(error) => return TranslateError::NotJson { reason: problem(&error) },
        Ok(value) => match serde_json::from_str::<Members<'_>>(text) {
            Err(_) => return wrong("body".to_owned(), "a JSON object", value),
            Ok(members) => members,
        },
    };
    let Some(list) = members.get("messages") else {
        return TranslateError::Missing { param: "messages".to_owned() };
    };
    let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(list.get()) else {
        return wrong("messages".to_owned(), "an array of messages", list);
    };
    let misfits = messages.iter().enumerate().find(|(_, message)| kind(message) != "an object");
    match misfits {
        Some((at, message)) => wrong(format!("messages[{at}]"), "a message object", message),
        // Only an earlier `messages` that a later one overrides is left to be at fault.
        None => TranslateError::WrongType {
            param: "messages".to_owned(),
            expected: "given once",
            found: "it repeated",
        },
    }
}

/// Members of `extra_body` count as the client's own and win, as they do in OpenAI's client libraries.
fn merge_extra_body(members: &mut Members<'_>) -> Result<(), TranslateError> {
    let Some(extra) = set(members.get("extra_body").copied()) else { return Ok(()) };
    let extra: Members<'_> =
        serde_json::from_str(extra.get()).map_err(|_| TranslateError::WrongType {
            param: "extra_body".to_owned(),
            expected: "an object",
            found: kind(extra),
        })?;
    let ours = extra.into_iter().filter(|(key, _)| key.0 == "drop_params" || !is_internal(&key.0));
    members.extend(ours);
    Ok(())
}

fn streams(members: &Members<'_>) -> Result<bool, TranslateError> {
    match set(members.get("stream").copied()) {
        None => Ok(false),
        Some(value) if value.get() == "true" => Ok(true),
        Some(value) if value.get() == "false" => Ok(false),
        Some(value) => Err(TranslateError::WrongType {
            param: "stream".to_owned(),
            expected: "a boolean",
            found: kind(value),
        }),
    }
}

#[cfg(test)]
mod tests;
