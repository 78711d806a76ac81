//! A whole completion in place of a stream: some servers never stream, and callbacks reply with
//! completions. It is cut into the chunks of a stream, from its own bytes and without a tree.

use super::{super::Usage, error_instead::CUT_JSON, judge::judge, usage};
use crate::{AnswerFault, ChunkSink, Echo};
use callgate_json::{Member, MemberList, Scanner, json_text, slices};
use std::{borrow::Cow, collections::HashSet};

/// Members that every chunk repeats. A longer value than an id or a date is only in the first
/// chunk.
const REPEATED: [&str; 4] = ["id", "created", "system_fingerprint", "service_tier"];
const REPEATED_LENGTH: usize = 1024;

/// The finish reason goes into its own chunk.
const FINISH_LATER: &[u8] = b",\"finish_reason\":null}";

/// Judges the completion and passes on its chunks; returns its usage.
pub(super) fn pass(
    json: &[u8],
    echo: &Echo,
    include_usage: bool,
    out: &mut dyn ChunkSink,
) -> Result<Option<Usage>, AnswerFault> {
    let json = json.trim_ascii();
    // A list is not a completion, and may have too many elements to keep.
    let members = if json.first() == Some(&b'{') { scan(json)? } else { MemberList::default() };
    let members = Members { json, list: members };
    judge(members.get("error"), members.get("choices"), || json.into())?;
    Ok(members.write(echo, include_usage, out))
}

/// The chunks of a completion that was judged before.
pub(super) fn write(json: &[u8], echo: &Echo, include_usage: bool, out: &mut dyn ChunkSink) {
    let json = json.trim_ascii();
    let members = Members { json, list: scan(json).unwrap_or_default() };
    members.write(echo, include_usage, out);
}

/// The members of an object. Text that is not JSON has none; cut-off JSON is an incomplete
/// response.
fn scan(json: &[u8]) -> Result<MemberList, AnswerFault> {
    let mut scanner = Scanner::of_upstream();
    match scanner.feed(json).and_then(|()| scanner.finish()) {
        Err(error) if error.is_cut() => Err(AnswerFault::Incomplete(CUT_JSON.to_owned())),
        members => Ok(members.unwrap_or_default()),
    }
}

/// The members of a completion.
struct Members<'a> {
    json: &'a [u8],
    list: MemberList,
}

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        let is = |member: &&Member| self.name(member).is(name);
        Some(&self.json[self.list.iter().rev().find(is)?.value.clone()])
    }

    fn name(&self, member: &Member) -> slices::Name<'a> {
        slices::Name::new(&self.json[member.name.clone()])
    }

    fn write(&self, echo: &Echo, include_usage: bool, out: &mut dyn ChunkSink) -> Option<Usage> {
        let choices = self.get("choices").unwrap_or_default();
        let head = self.head(echo);
        let mut first = self.rest();
        // As at OpenAI: if a usage chunk follows at the end, earlier chunks have a null `usage`.
        let end: &[u8] = if include_usage { b"],\"usage\":null}" } else { b"]}" };
        for (position, choice) in slices::elements(choices).enumerate() {
            let first = std::mem::take(&mut first);
            let index = index(choice, position);
            let said = delta(slices::member(choice, "message").unwrap_or(b"{}"));
            let others = others(choice, &["index", "message", "delta", "finish_reason"]);
            let (start, middle) = (b",\"choices\":[{\"index\":", b",\"delta\":");
            out.chunk(&[&head, &first, start, &index, middle, &said, &others, FINISH_LATER, end]);
        }
        for (position, choice) in slices::elements(choices).enumerate() {
            let index = index(choice, position);
            let reason = slices::member(choice, "finish_reason").unwrap_or(b"null");
            let start = b",\"choices\":[{\"index\":";
            let middle = b",\"delta\":{},\"finish_reason\":";
            out.chunk(&[&head, start, &index, middle, reason, b"}", end]);
        }
        let counted = self.get("usage").filter(|json| !slices::is_blank(json));
        if let Some(json) = counted.filter(|_| include_usage) {
            out.chunk(&[&head, b",\"choices\":[],\"usage\":", json, b"}"]);
        }
        counted.and_then(usage)
    }

    /// The beginning of every chunk, up to its choices.
    fn head(&self, echo: &Echo) -> Vec<u8> {
        let made = [json_text(&echo.id), echo.created.to_string().into()];
        let mut head = b"{\"object\":\"chat.completion.chunk\",\"model\":".to_vec();
        head.extend_from_slice(&json_text(&echo.model));
        for (at, name) in REPEATED.into_iter().enumerate() {
            let own = self.get(name).filter(|value| value.len() <= REPEATED_LENGTH);
            let own = own.filter(|value| at > 1 || *value != b"null");
            let made = made.get(at).map(|made| &made[..]);
            if let Some(value) = own.or(made) {
                push(&mut head, name.as_bytes(), value);
            }
        }
        head
    }

    /// All other members of the completion, for the first chunk.
    fn rest(&self) -> Vec<u8> {
        let mut known: HashSet<&[u8]> = HashSet::new();
        let mut rest = Vec::new();
        for member in self.list.iter().rev() {
            let name = self.name(member);
            let own = ["object", "model", "choices", "usage", "error"];
            let own = own.iter().chain(&REPEATED).any(|own| name.is(own));
            if !own && known.insert(name.json()) {
                push(&mut rest, name.json(), &self.json[member.value.clone()]);
            }
        }
        rest
    }
}

/// Turns an unusual event into a chunk as OpenAI sends it: the choices' content is in `delta`, not
/// in `message` (which holds the whole so far, or everything), and there is a list of choices.
pub(super) fn chunk(json: &[u8], members: &[Member], model: &[u8]) -> Vec<u8> {
    let mut choices = b"[]".to_vec();
    let mut out = b"{\"object\":\"chat.completion.chunk\"".to_vec();
    for member in members {
        let value = &json[member.value.clone()];
        let name = slices::Name::new(&json[member.name.clone()]);
        if name.is("choices") {
            choices = deltas(value);
        } else if name.is("model") {
            push(&mut out, b"model", model);
        } else if !name.is("object") {
            push(&mut out, name.json(), value);
        }
    }
    push(&mut out, b"choices", &choices);
    out.push(b'}');
    out
}

fn deltas(choices: &[u8]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    for (position, choice) in slices::elements(choices).enumerate() {
        out.extend_from_slice(if position == 0 { b"{\"index\":" } else { b",{\"index\":" });
        out.extend_from_slice(&index(choice, position));
        out.extend_from_slice(b",\"delta\":");
        let mut said =
            ["delta", "message"].into_iter().filter_map(|name| slices::member(choice, name));
        out.extend_from_slice(&delta(said.find(|said| *said != b"null").unwrap_or(b"{}")));
        out.extend_from_slice(&others(choice, &["index", "message", "delta"]));
        out.push(b'}');
    }
    out.push(b']');
    out
}

/// Appends `,"name":value`.
fn push(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [b",\"", name, b"\":", value] {
        out.extend_from_slice(part);
    }
}

/// The other members of a choice, each after a comma.
fn others(choice: &[u8], own: &[&str]) -> Vec<u8> {
    let mut others = Vec::new();
    for (name, value) in slices::members(choice) {
        if !own.iter().any(|own| name.is(own)) {
            push(&mut others, name.json(), value);
        }
    }
    others
}

fn index(choice: &[u8], position: usize) -> Vec<u8> {
    match slices::member(choice, "index") {
        Some(index) => index.to_vec(),
        None => position.to_string().into_bytes(),
    }
}

/// A message as a delta, with numbered tool calls. A message without tool calls is not copied.
fn delta(message: &[u8]) -> Cow<'_, [u8]> {
    let is_list = |calls: &[u8]| calls.first() == Some(&b'[');
    let Some(calls) = slices::member(message, "tool_calls").filter(|calls| is_list(calls)) else {
        return Cow::Borrowed(message);
    };
    let mut out = b"{\"tool_calls\":[".to_vec();
    for (position, call) in slices::elements(calls).enumerate() {
        out.extend_from_slice(if position == 0 { b"" } else { b"," });
        if call.first() != Some(&b'{') {
            out.extend_from_slice(call);
            continue;
        }
        out.extend_from_slice(format!("{{\"index\":{position}").as_bytes());
        for (name, value) in slices::members(call).filter(|(name, _)| !name.is("index")) {
            push(&mut out, name.json(), value);
        }
        out.push(b'}');
    }
    out.push(b']');
    for (name, value) in slices::members(message).filter(|(name, _)| !name.is("tool_calls")) {
        push(&mut out, name.json(), value);
    }
    out.push(b'}');
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[derive(Default)]
    struct Collected(Vec<Value>);

    impl ChunkSink for Collected {
        fn chunk(&mut self, json: &[&[u8]]) {
            let text = json.concat();
            let read = serde_json::from_slice(&text);
            self.0.push(read.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&text))));
        }
    }

    fn chunks(whole: &Value, include_usage: bool) -> Result<Vec<Value>, AnswerFault> {
        let echo = Echo { id: "made".into(), created: 7, model: "asked\"".into() };
        let mut out = Collected::default();
        pass(whole.to_string().as_bytes(), &echo, include_usage, &mut out)?;
        Ok(out.0)
    }

    #[test]
    fn a_completion_is_made_into_chunks() {
        let call = json!({"id": "c", "index": 9, "function": {"name": "f"}});
        let whole = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "up",
            "x_own": {"a": [1]}, "service_tier": null,
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "logprobs": null,
                 "finish_reason": "stop"},
                {"message": {"content": null, "tool_calls": [call]}, "finish_reason": "tool_calls"}],
            "usage": {"prompt_tokens": 3}});
        let found = chunks(&whole, true).unwrap();
        for chunk in &found {
            assert_eq!((&chunk["id"], &chunk["created"]), (&json!("x"), &json!(1)));
            assert_eq!(
                (&chunk["model"], &chunk["service_tier"]),
                (&json!("asked\""), &json!(null))
            );
            assert_eq!(chunk["object"], "chat.completion.chunk");
        }
        assert_eq!(found[0]["x_own"], json!({"a": [1]}));
        let choices: Vec<_> = found.iter().map(|chunk| chunk["choices"].clone()).collect();
        let numbered = json!({"id": "c", "index": 0, "function": {"name": "f"}});
        assert_eq!(
            choices,
            [
                json!([{"index": 0, "delta": {"role": "assistant", "content": "Hi"},
                    "logprobs": null, "finish_reason": null}]),
                json!([{"index": 1, "delta": {"content": null, "tool_calls": [numbered]},
                    "finish_reason": null}]),
                json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
                json!([{"index": 1, "delta": {}, "finish_reason": "tool_calls"}]),
                json!([]),
            ]
        );
        assert_eq!(
            (&found[0]["usage"], &found[4]["usage"]["prompt_tokens"]),
            (&json!(null), &json!(3))
        );
        assert!(found[1].get("x_own").is_none() && chunks(&whole, false).unwrap().len() == 4);
    }

    #[test]
    fn what_a_completion_lacks_is_filled_in_but_for_a_finish_reason() {
        let found = chunks(&json!({"choices": [{"message": {"content": "a"}}]}), false).unwrap();
        assert_eq!((&found[1]["id"], &found[1]["created"]), (&json!("made"), &json!(7)));
        assert_eq!(found[1]["choices"][0]["finish_reason"], json!(null));
        let unfinished = json!({"choices": [{"message": {}, "finish_reason": null}]});
        assert!(matches!(chunks(&unfinished, false), Err(AnswerFault::Incomplete(_))));
    }

    #[test]
    fn many_choices_do_not_repeat_what_else_there_is() {
        let choices = vec![json!({"message": {}, "finish_reason": "stop"}); 500];
        let large = "x".repeat(100_000);
        let whole = json!({"id": large, "other": large, "choices": choices});
        let found = chunks(&whole, false).unwrap();
        let size: usize = found.iter().map(|chunk| chunk.to_string().len()).sum();
        assert!(found.len() == 1000 && size < 600_000, "{size}");
    }
}
