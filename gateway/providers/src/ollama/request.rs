//! Translates a request: an OpenAI chat body in, the body of `POST /api/chat` out.
//!
//! One pass over the client's bytes finds the members and writes each message at once; no tree is
//! built, and no list is kept that a client could make long. `params` places the parameters,
//! `messages` translates the messages.

use super::{
    error::TranslateError,
    json::{JsonMembers, Str, elements, kind, kind_of, problem, push_string, set},
    messages::{Called, Message, write_message},
    params::Params,
};
use crate::{ParamRules, gateway_members::is_own};
use callgate_json::check_names;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value, value::RawValue};
use std::fmt;

/// Bytes added around the client's own: keys, `images` and the model's name.
const ROOM: usize = 512;

/// The most bytes by which a small body may grow.
const GROWTH: usize = 1 << 20;

/// The longest that a body of this length may become. The text added to each message and function
/// is about as long as a hundred empty ones, so a large body made of these must not be sent on at
/// many times its length.
const fn longest(length: usize) -> usize {
    length + length / 2 + GROWTH
}

/// Translates an OpenAI chat request into the body of `POST /api/chat`.
///
/// `upstream_model` is Ollama's name for the model. `defaults` are the deployment's own parameters,
/// in either API's spelling; the client's values win. `rules` says which
/// parameters are never sent, and what happens to those that Ollama does not support.
///
/// # Errors
/// If the body is not a chat request, or has content or parameters that Ollama does not support.
pub(crate) fn chat_request(
    body: &[u8],
    upstream_model: &str,
    defaults: &Map<String, Value>,
    rules: &ParamRules,
) -> Result<Vec<u8>, TranslateError> {
    let text = std::str::from_utf8(body)
        .map_err(|error| TranslateError::NotJson { reason: error.to_string() })?;
    // Memory that is never touched costs nothing; moving written bytes would.
    let longest = longest(text.len());
    let large = text.len() > GROWTH;
    let mut out = Vec::with_capacity(if large { longest } else { text.len() } + ROOM);
    out.extend_from_slice(b"{\"model\":");
    push_string(&mut out, upstream_model);
    out.extend_from_slice(b",\"messages\":[");
    let Body { messages, mut members } = Body::parse(text, &mut out, longest)?;
    merge_extra_body(&mut members)?;
    let messages =
        messages.ok_or_else(|| TranslateError::Missing { param: "messages".to_owned() })?;
    let stream = streams(&members)?;

    let defaults = serde_json::to_string(defaults).unwrap_or_default();
    let mut defaults: JsonMembers<'_> = serde_json::from_str(&defaults).unwrap_or_default();
    for name in &rules.leave_out {
        members.remove(name.as_str());
        defaults.remove(name.as_str());
    }
    let mut params = Params::new(rules);
    params.apply(&defaults)?;
    params.forgive();
    params.apply(&members)?;
    params.check()?;

    messages?;
    out.extend_from_slice(b"],\"stream\":");
    out.extend_from_slice(if stream { b"true" } else { b"false" });
    params.write(&mut out, longest);
    out.push(b'}');
    if out.len() > longest {
        return Err(TranslateError::TooLarge { bound: longest });
    }
    Ok(out)
}

/// The client's body: whether its messages could be written, and all other members by name.
#[derive(Debug)]
struct Body<'a> {
    messages: Option<Result<(), TranslateError>>,
    members: JsonMembers<'a>,
}

impl<'a> Body<'a> {
    /// Messages are written to `out` at once: kept until later, each would cost several times its
    /// length.
    fn parse(text: &'a str, out: &mut Vec<u8>, longest: usize) -> Result<Self, TranslateError> {
        let mut source = serde_json::Deserializer::from_str(text);
        let body = BodySeed { out, longest }.deserialize(&mut source);
        body.and_then(|body| source.end().map(|()| body)).map_err(|error| {
            if error.is_data() {
                misfit(text)
            } else {
                TranslateError::NotJson { reason: problem(&error) }
            }
        })
    }
}

struct BodySeed<'o> {
    out: &'o mut Vec<u8>,
    longest: usize,
}

impl<'de> DeserializeSeed<'de> for BodySeed<'_> {
    type Value = Body<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for BodySeed<'_> {
    type Value = Body<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a chat request object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut body = Body { messages: None, members: JsonMembers::new() };
        let start = self.out.len();
        while let Some(key) = map.next_key::<Str<'de>>()? {
            if key.0 == "messages" {
                self.out.truncate(start);
                body.messages =
                    map.next_value_seed(MessagesSeed { out: self.out, longest: self.longest })?;
            } else {
                body.members.insert(key, map.next_value()?);
            }
        }
        Ok(body)
    }
}

/// Writes messages; `None` for null.
struct MessagesSeed<'o> {
    out: &'o mut Vec<u8>,
    longest: usize,
}

impl<'de> DeserializeSeed<'de> for MessagesSeed<'_> {
    type Value = Option<Result<(), TranslateError>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MessagesSeed<'_> {
    type Value = Option<Result<(), TranslateError>>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of messages")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut written = Ok(());
        let mut called = Called::default();
        let mut at = 0;
        while let Some(message) = list.next_element::<Message<'de>>()? {
            if written.is_ok() {
                if at > 0 {
                    self.out.push(b',');
                }
                written = write_message(self.out, at, &message, &mut called);
                if self.out.len() > self.longest {
                    written = written.and(Err(TranslateError::TooLarge { bound: self.longest }));
                }
            }
            at += 1;
        }
        Ok(Some(written))
    }
}

/// The deployment's parameters that Ollama does not support.
pub(crate) fn unfit(defaults: &Map<String, Value>) -> Vec<&str> {
    let text = serde_json::to_string(defaults).unwrap_or_default();
    let members: JsonMembers<'_> = serde_json::from_str(&text).unwrap_or_default();
    let rules = ParamRules { drop_unsupported: true, ..ParamRules::default() };
    let mut params = Params::new(&rules);
    // A value of the wrong kind is left for the calls to report, which may override it.
    let _ = params.apply(&members);
    let is_unfit = |name: &str| params.unsupported().any(|of| of.split('[').next() == Some(name));
    defaults.keys().map(String::as_str).filter(|name| is_unfit(name)).collect()
}

/// Finds the value that makes well-formed JSON an invalid chat request. A second pass, so that the
/// first one needs no code for errors.
fn misfit(text: &str) -> TranslateError {
    let wrong = |param: String, expected, found: &RawValue| TranslateError::WrongType {
        param,
        expected,
        found: kind(found),
    };
    let members = match serde_json::from_str::<&RawValue>(text) {
        Err(error) => return TranslateError::NotJson { reason: problem(&error) },
        Ok(value) => match serde_json::from_str::<JsonMembers<'_>>(text) {
            Err(_) => return wrong("body".to_owned(), "a JSON object", value),
            Ok(members) => members,
        },
    };
    let Some(list) = members.get("messages") else {
        return TranslateError::Missing { param: "messages".to_owned() };
    };
    let Some(messages) = elements(list) else {
        return wrong("messages".to_owned(), "an array of messages", list);
    };
    let misfits = messages.enumerate().find(|(_, message)| !message.starts_with('{'));
    match misfits {
        Some((at, message)) => TranslateError::WrongType {
            param: format!("messages[{at}]"),
            expected: "a message object",
            found: kind_of(message),
        },
        // Only an earlier `messages` that a later one overrides can still be at fault.
        None => TranslateError::WrongType {
            param: "messages".to_owned(),
            expected: "given once",
            found: "it repeated",
        },
    }
}

/// Members of `extra_body` count as the client's own and win, as in OpenAI's client libraries.
fn merge_extra_body(members: &mut JsonMembers<'_>) -> Result<(), TranslateError> {
    let Some(extra) = set(members.get("extra_body").copied()) else { return Ok(()) };
    let source = extra.get();
    if source.starts_with('{') {
        check_names(source, "extra_body", |_| {})?;
    }
    let extra: JsonMembers<'_> =
        serde_json::from_str(extra.get()).map_err(|_| TranslateError::WrongType {
            param: "extra_body".to_owned(),
            expected: "an object",
            found: kind(extra),
        })?;
    let call = |key: &str| matches!(key, "model" | "messages" | "stream");
    let ours = extra
        .into_iter()
        .filter(|(key, _)| key.0 == "drop_params" || !(is_own(key.0.as_bytes()) || call(&key.0)));
    members.extend(ours);
    Ok(())
}

fn streams(members: &JsonMembers<'_>) -> Result<bool, TranslateError> {
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
