//! A stream in place of a JSON reply: combines its chunks into a completion. It works on their
//! bytes, because a tree would take many times the memory.

use super::{
    AnswerFault, ChunkSink, Dialect, Echo, StreamRequest, StreamTranslator, Translated,
    error_text::read_error, openai,
};
use callgate_json::{json_text, slices};
use std::collections::BTreeMap;

/// The most values in all chunks of a response that are kept apart, and the most members of an
/// object.
const MAX_NODES: usize = 64 * 1024;
const MAX_MEMBERS: usize = 1024;

/// Collects a body that is not a JSON object, as it arrives.
pub struct CompletionFromStream<'a> {
    dialect: &'a dyn Dialect,
    echo: &'a Echo,
    choices: u64,
    /// Boxed, because it is rare and every call's future would have room for it.
    begun: Option<Box<Begun>>,
}

impl std::fmt::Debug for CompletionFromStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

struct Begun {
    stream: Box<dyn StreamTranslator>,
    whole: Whole,
    fault: Option<AnswerFault>,
}

impl<'a> CompletionFromStream<'a> {
    pub fn new(dialect: &'a dyn Dialect, echo: &'a Echo, choices: u64) -> Self {
        Self { dialect, echo, choices, begun: None }
    }

    /// Takes the next piece; returns whether the stream has ended. Streams have an end mark, and
    /// some servers leave the connection open after it.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let begun = self.begun.get_or_insert_with(|| {
            let asked = StreamRequest { usage: true, choices: self.choices };
            let stream = self.dialect.stream(self.echo, asked);
            Box::new(Begun { stream, whole: Whole::default(), fault: None })
        });
        let Begun { stream, whole, fault } = &mut **begun;
        if fault.is_none() {
            *fault = stream.push(piece, whole).err();
        }
        match fault {
            // The rest of the body may show what it is instead.
            Some(AnswerFault::Other(_)) => false,
            Some(AnswerFault::Malformed(_)) => stream.events() > 0,
            Some(_) => true,
            None => stream.complete(),
        }
    }

    /// Whether it was recognised as a stream.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Returns the completion. `body` is the whole body. `Other` if it is not a stream either.
    pub fn finish(mut self, body: &[u8]) -> Result<Translated, AnswerFault> {
        if let Some(error) = read_error(body) {
            return Err(AnswerFault::Upstream(error));
        }
        if self.begun.is_none() {
            self.push(body);
        }
        let Some(begun) = self.begun else {
            return Err(AnswerFault::Other(openai::NO_COMPLETION));
        };
        let Begun { mut stream, mut whole, mut fault } = *begun;
        if fault.is_none() && !stream.complete() {
            fault = stream.close(&mut whole).err();
        }
        match fault {
            Some(AnswerFault::Malformed(_)) if stream.events() == 0 => {
                return Err(AnswerFault::Other("no stream"));
            }
            Some(fault) => return Err(fault),
            None => {}
        }
        let body = whole.completion(self.echo)?;
        Ok(Translated { body: [body.into()].into(), usage: stream.usage() })
    }
}

/// The completion so far.
#[derive(Debug, Default)]
struct Whole {
    /// `id`, `created` and similar members, from the first chunk that has them.
    head: Vec<(&'static str, Vec<u8>)>,
    usage: Option<Vec<u8>>,
    choices: BTreeMap<u64, Node>,
    nodes: usize,
}

/// A value that grows with each chunk. Texts keep their escapes.
#[derive(Debug)]
enum Node {
    Text(Vec<u8>),
    Object(Vec<(Vec<u8>, Node)>),
    /// Elements with their own `index`, such as tool calls.
    List(BTreeMap<u64, Node>),
    /// Any other value: the last one, or for lists all elements.
    Other(Vec<u8>),
}

impl ChunkSink for Whole {
    fn chunk(&mut self, json: &[&[u8]]) {
        let json = json.concat();
        for name in ["id", "created", "system_fingerprint", "service_tier"] {
            if let Some(value) = slices::member(&json, name)
                && !self.head.iter().any(|(known, _)| *known == name)
            {
                self.head.push((name, value.to_vec()));
            }
        }
        if let Some(usage) = slices::member(&json, "usage").filter(|usage| !slices::is_blank(usage))
        {
            self.usage = Some(usage.to_vec());
        }
        let choices = slices::member(&json, "choices").unwrap_or_default();
        for (position, choice) in slices::elements(choices).enumerate() {
            let index = index(choice).unwrap_or(position as u64);
            let node = self.choices.entry(index).or_insert_with(|| Node::Object(Vec::new()));
            node.add(b"", choice, &mut self.nodes);
        }
    }
}

fn index(json: &[u8]) -> Option<u64> {
    std::str::from_utf8(slices::member(json, "index")?).ok()?.parse().ok()
}

impl Node {
    fn of(json: &[u8], nodes: &mut usize) -> Self {
        *nodes += 1;
        let mut node = match json.first() {
            Some(b'"') => Self::Text(Vec::new()),
            Some(b'{') => Self::Object(Vec::new()),
            Some(b'[') if slices::elements(json).next().is_some_and(|it| index(it).is_some()) => {
                Self::List(BTreeMap::new())
            }
            _ => Self::Other(Vec::new()),
        };
        node.add(b"", json, nodes);
        node
    }

    fn add(&mut self, name: &[u8], json: &[u8], nodes: &mut usize) {
        if *nodes > MAX_NODES && !matches!(json.first(), Some(b'"')) {
            return;
        }
        match (self, json.first()) {
            (Self::Text(text), Some(b'"')) => {
                // Names and ids come whole, and may be repeated.
                if text.is_empty()
                    || !matches!(name, b"id" | b"type" | b"role" | b"name" | b"finish_reason")
                {
                    text.extend_from_slice(&json[1..json.len() - 1]);
                }
            }
            (Self::Object(members), Some(b'{')) => {
                for (name, value) in slices::members(json) {
                    let name = name.json();
                    match members.iter().position(|(known, _)| known == name) {
                        Some(at) => members[at].1.add(name, value, nodes),
                        None if members.len() < MAX_MEMBERS => {
                            members.push((name.to_vec(), Self::of(value, nodes)));
                        }
                        None => *nodes = MAX_NODES + 1,
                    }
                }
            }
            (Self::List(list), Some(b'[')) => {
                for (position, element) in slices::elements(json).enumerate() {
                    let index = index(element).unwrap_or(position as u64);
                    match list.get_mut(&index) {
                        Some(node) => node.add(b"", element, nodes),
                        None => drop(list.insert(index, Self::of(element, nodes))),
                    }
                }
            }
            (Self::Other(list), Some(b'[')) if list.first() == Some(&b'[') => {
                let more = &json[1..json.len() - 1];
                if !more.trim_ascii().is_empty() {
                    list.pop();
                    list.extend_from_slice(if list.len() > 1 { b"," } else { b"" });
                    list.extend_from_slice(more);
                    list.push(b']');
                }
            }
            // Null adds nothing.
            (Self::Other(value), _) if value.is_empty() => value.extend_from_slice(json),
            (_, Some(b'n')) => {}
            (this, _) => *this = Self::fresh(json, nodes),
        }
    }

    /// Replaces a value of another type.
    fn fresh(json: &[u8], nodes: &mut usize) -> Self {
        match json.first() {
            Some(b'"' | b'{' | b'[') => Self::of(json, nodes),
            _ => Self::Other(json.to_vec()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => {
                for part in [b"\"", &text[..], b"\""] {
                    out.extend_from_slice(part);
                }
            }
            Self::Object(members) => {
                out.push(b'{');
                members.iter().for_each(|(name, node)| push(out, name, node));
                out.push(b'}');
            }
            Self::List(list) => {
                out.push(b'[');
                for (at, element) in list.values().enumerate() {
                    out.extend_from_slice(if at == 0 { b"" } else { b"," });
                    element.write_without_index(out);
                }
                out.push(b']');
            }
            Self::Other(value) => out.extend_from_slice(value),
        }
    }

    /// Only chunks number their tool calls, so the index is left out.
    fn write_without_index(&self, out: &mut Vec<u8>) {
        let Self::Object(members) = self else { return self.write(out) };
        out.push(b'{');
        let others = members.iter().filter(|(name, _)| name != b"index");
        others.for_each(|(name, node)| push(out, name, node));
        out.push(b'}');
    }

    fn member(&self, wanted: &[u8]) -> Option<&Self> {
        let Self::Object(members) = self else { return None };
        members.iter().find(|(name, _)| name == wanted).map(|(_, node)| node)
    }
}

/// Appends a member, with a comma unless it is the first.
fn push(out: &mut Vec<u8>, name: &[u8], node: &Node) {
    out.extend_from_slice(if out.last() == Some(&b'{') { b"\"" } else { b",\"" });
    out.extend_from_slice(name);
    out.extend_from_slice(b"\":");
    node.write(out);
}

impl Whole {
    fn completion(self, echo: &Echo) -> Result<Vec<u8>, AnswerFault> {
        if self.nodes > MAX_NODES {
            return Err(AnswerFault::Malformed("a stream of too many members".to_owned()));
        }
        if self.choices.is_empty() {
            return Err(AnswerFault::Other(openai::NO_COMPLETION));
        }
        let mut out = b"{\"object\":\"chat.completion\",\"model\":".to_vec();
        out.extend_from_slice(&json_text(&echo.model));
        let made =
            [("id", json_text(&echo.id).to_vec()), ("created", echo.created.to_string().into())];
        let lacks = |name: &str| !self.head.iter().any(|(known, _)| *known == name);
        let made: Vec<_> = made.into_iter().filter(|(name, _)| lacks(name)).collect();
        for (name, value) in self.head.iter().chain(&made) {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            out.extend_from_slice(value);
        }
        out.extend_from_slice(b",\"choices\":[");
        for (at, (index, choice)) in self.choices.iter().enumerate() {
            let start = if at == 0 { "" } else { "," };
            out.extend_from_slice(format!("{start}{{\"index\":{index},\"message\":").as_bytes());
            message(choice.member(b"delta"), &mut out);
            if let Node::Object(members) = choice {
                let own: [&[u8]; 3] = [b"index", b"delta", b"finish_reason"];
                let others = members.iter().filter(|(name, _)| !own.contains(&&name[..]));
                others.for_each(|(name, node)| push(&mut out, name, node));
            }
            let none = Node::Other(b"null".to_vec());
            push(&mut out, b"finish_reason", choice.member(b"finish_reason").unwrap_or(&none));
            out.push(b'}');
        }
        out.push(b']');
        if let Some(usage) = &self.usage {
            out.extend_from_slice(b",\"usage\":");
            out.extend_from_slice(usage);
        }
        out.push(b'}');
        Ok(out)
    }
}

/// A delta as a message, with the members that every message has.
fn message(delta: Option<&Node>, out: &mut Vec<u8>) {
    out.push(b'{');
    if let Some(Node::Object(members)) = delta {
        members.iter().for_each(|(name, node)| push(out, name, node));
    }
    for (name, value) in [(&b"role"[..], &b"\"assistant\""[..]), (b"content", b"null")] {
        if delta.and_then(|delta| delta.member(name)).is_none() {
            push(out, name, &Node::Other(value.to_vec()));
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ollama::Ollama, openai::OpenAi};
    use serde_json::{Value, json};

    fn completion(dialect: &dyn Dialect, body: &str) -> Result<(Value, Option<u64>), AnswerFault> {
        let echo = Echo { id: "made".to_owned(), created: 7, model: "asked".to_owned() };
        let translated = CompletionFromStream::new(dialect, &echo, 1).finish(body.as_bytes())?;
        let body = translated.body.concat();
        let usage = translated.usage.map(|usage| usage.total_tokens);
        Ok((serde_json::from_slice(&body).expect("JSON"), usage))
    }

    #[test]
    fn all_requested_choices_come_with_one_reason_each() {
        let end = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        let echo = Echo { id: "made".to_owned(), created: 7, model: "asked".to_owned() };
        let fault = CompletionFromStream::new(&OpenAi, &echo, 2).finish(end.as_bytes()).err();
        assert!(matches!(fault, Some(AnswerFault::Incomplete(_))), "{fault:?}");
        let (whole, _) = completion(&OpenAi, &end.repeat(2)).unwrap();
        assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    }

    #[test]
    fn chunks_come_to_a_completion() {
        let chunk = |choices: &str| {
            format!(
                "data: {{\"id\":\"x\",\"created\":1,\"model\":\"up\",\"choices\":[{choices}]}}\n\n"
            )
        };
        let stream = [
            ": hello\n\n".to_owned(),
            chunk(
                r#"{"index":0,"delta":{"role":"assistant","content":""},"logprobs":{"content":[{"token":"a"}]},"finish_reason":null}"#,
            ),
            chunk(
                r#"{"index":0,"delta":{"role":"assistant","content":"a\n\u00e9"},"logprobs":{"content":[{"token":"b"}]}}"#,
            ),
            chunk(
                r#"{"index":1,"delta":{"content":null,"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":""}}]}}"#,
            ),
            chunk(
                r#"{"index":1,"delta":{"tool_calls":[{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\""}},{"index":1,"function":{"arguments":"{}"}}]}}"#,
            ),
            chunk(
                r#"{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}"#,
            ),
            chunk(r#"{"index":0,"delta":{"content":"b"},"finish_reason":"stop"}"#),
            "data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\ndata: [DONE]\n\n".to_owned(),
        ];
        let (found, usage) = completion(&OpenAi, &stream.concat()).unwrap();
        assert_eq!(usage, Some(7));
        assert_eq!(
            found,
            json!({"id": "x", "object": "chat.completion", "created": 1, "model": "asked",
                "usage": {"total_tokens": 7},
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": "a\néb"},
                     "logprobs": {"content": [{"token": "a"}, {"token": "b"}]}, "finish_reason": "stop"},
                    {"index": 1, "message": {"role": "assistant", "content": null, "tool_calls": [
                        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                        {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
                     "finish_reason": "tool_calls"}]})
        );
    }

    #[test]
    fn a_stream_is_all_there_at_its_own_end() {
        let said =
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n";
        let line = "{\"message\":{\"content\":\"a\"},\"done\":false}\n";
        let last = "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";
        let error = "data: {\"error\":\"words\"}\n";
        let open = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":null}]}\n\n";
        for (dialect, before, end) in [
            (&OpenAi as &dyn Dialect, said, "data: [DONE]\n"),
            (&OpenAi, said, error),
            (&OpenAi, open, "data: [DONE]\n"),
            (&Ollama, line, last),
            (&Ollama, line, "{\"error\":\"words\"}\n"),
        ] {
            let echo = Echo { id: "made".to_owned(), created: 7, model: "asked".to_owned() };
            for size in [1, 7, 1000] {
                let mut together = CompletionFromStream::new(dialect, &echo, 1);
                assert!(before.as_bytes().chunks(size).all(|piece| !together.push(piece)));
                let ends: Vec<_> =
                    end.as_bytes().chunks(size).map(|piece| together.push(piece)).collect();
                assert_eq!(ends.iter().position(|over| *over), Some(ends.len() - 1), "{end}");
            }
        }
        let echo = Echo { id: "made".to_owned(), created: 7, model: "asked".to_owned() };
        assert!(!CompletionFromStream::new(&OpenAi, &echo, 1).push(b"<html>"));
    }

    #[test]
    fn lines_of_ollama_come_to_a_completion() {
        let lines = concat!(
            "{\"message\":{\"content\":\"a\"},\"done\":false}\n",
            "{\"message\":{\"content\":\"b\"},\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}\n"
        );
        let (found, usage) = completion(&Ollama, lines).unwrap();
        assert_eq!(found["choices"][0]["message"], json!({"role": "assistant", "content": "ab"}));
        assert_eq!((&found["choices"][0]["finish_reason"], usage), (&json!("stop"), Some(3)));
        assert_eq!(found["usage"]["completion_tokens"], 3);
    }

    #[test]
    fn what_is_no_whole_stream_is_no_completion() {
        let half =
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
        for (body, expected) in [
            (half, "Incomplete"),
            ("data: [DONE]\n\n", "Incomplete"),
            ("data: {\"error\":{\"message\":\"words\"}}\n\n", "words"),
            ("[{\"error\":{\"message\":\"words\"}}]", "words"),
            ("<html>", "Other"),
            ("{\"choices\":[", "Incomplete"),
            ("{\"choices\":]", "Other"),
            ("data: {\"x\":1}\n\ndata: [DONE]\n\n", "Incomplete"),
        ] {
            let fault = format!("{:?}", completion(&OpenAi, body).unwrap_err());
            assert!(fault.contains(expected), "{body}: {fault}");
        }
    }

    #[test]
    fn a_text_may_come_in_any_number_of_pieces() {
        let piece = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"ab\"},\"finish_reason\":null}]}\n\n";
        let done = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
        let (whole, _) = completion(&OpenAi, &(piece.repeat(50_000) + done)).unwrap();
        assert_eq!(whole["choices"][0]["message"]["content"], "ab".repeat(50_000));
        let line = "{\"message\":{\"content\":\"ab\"},\"done\":false}\n";
        let lines = line.repeat(50_000)
            + "{\"message\":{\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\"}\n";
        let (whole, _) = completion(&Ollama, &lines).unwrap();
        assert_eq!(whole["choices"][0]["message"]["content"], "ab".repeat(50_000));
    }

    #[test]
    fn what_breaks_within_a_stream_is_no_other_body() {
        let event = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n";
        for (body, expected) in [
            (format!("{event}data: x\n\n{event}"), "Malformed"),
            ("data: x\n\n".to_owned(), "Other"),
        ] {
            let fault = format!("{:?}", completion(&OpenAi, &body).unwrap_err());
            assert!(fault.contains(expected), "{body}: {fault}");
        }
    }

    #[test]
    fn memory_is_bounded_by_members() {
        let deltas = (0..30_000).map(|at| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"m{at}\":[],\"n{at}\":1,\"o{at}\":{{}}}}}}]}}\n\n")
        });
        let stream: String = deltas.take(200).collect();
        let done = "data: {\"choices\":[{\"finish_reason\":\"stop\"}]}\n\n";
        assert!(completion(&OpenAi, &format!("{stream}{done}")).is_ok());
        let many = |element: &dyn Fn(usize) -> String| {
            let list: Vec<String> = (0..70_000).map(element).collect();
            let list = list.join(",");
            format!("data: {{\"choices\":[{{\"delta\":{{\"x\":[{list}]}}}}]}}\n\n{done}")
        };
        // Text added to existing text needs no extra node.
        let (whole, _) =
            completion(&OpenAi, &many(&|_| "{\"index\":1,\"a\":1}".to_owned())).unwrap();
        assert_eq!(whole["choices"][0]["message"]["x"], json!([{"a": 1}]));
        let many = many(&|at| format!("{{\"index\":{at},\"a\":1}}"));
        let fault = completion(&OpenAi, &many).unwrap_err();
        assert!(matches!(fault, AnswerFault::Malformed(_)), "{fault:?}");
    }
}
