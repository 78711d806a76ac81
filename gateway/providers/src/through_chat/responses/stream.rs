//! Translates a stream: a chat's chunks in, the events of a response out.

use super::{
    AnswerFault, ChatAnswer, ChatEvents, ChatUsage, Echo, Function, Said, ToolCall, filled,
    output::{ItemKind, OutputItem, ResponseHead, ResponseStatus},
    reply::{call_kind, head},
};
use crate::{ChunkSink, json_text::Text};
use bytes::Bytes;
use serde_json::value::RawValue;

/// The state of a response that is being said.
pub(in super::super) struct ResponseEvents {
    echo: Echo,
    echoed: Bytes,
    head: Option<ResponseHead>,
    open: Option<OutputItem>,
    /// The items that are complete, with commas between them, and their number.
    output: Vec<u8>,
    items: usize,
    calls: usize,
    /// The number of events so far.
    sent: u64,
    finish_reason: Option<String>,
    usage: Option<ChatUsage>,
    json: Vec<u8>,
}

/// The names of the events of an item's part: its begin, a piece of it, the whole text, its end.
const fn names(kind: &ItemKind) -> [&'static str; 4] {
    match kind {
        ItemKind::Thoughts => [
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
        ],
        ItemKind::Text => [
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
        ],
        ItemKind::Refusal => [
            "response.content_part.added",
            "response.refusal.delta",
            "response.refusal.done",
            "response.content_part.done",
        ],
        // A call has no parts.
        ItemKind::Call { .. } => [
            "",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "",
        ],
    }
}

impl ChatEvents for ResponseEvents {
    fn chunk(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let answer = ChatAnswer::read(json)?;
        self.usage = answer.usage().or(self.usage);
        self.begin(&answer, out);
        let Some(choice) = answer.first() else { return Ok(()) };
        if let Some(said) = choice.said() {
            self.say(said, out)?;
        }
        if let Some(reason) = &choice.finish_reason {
            self.finish_reason = Some(reason.0.clone().into_owned());
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let status = ResponseStatus::of(self.finish_reason.as_deref());
        self.end_item(status, out);
        let Some(head) = self.head.take() else {
            return Err(AnswerFault::Other("a stream without a completion"));
        };
        let name = match status {
            ResponseStatus::Completed | ResponseStatus::InProgress => "response.completed",
            ResponseStatus::CutByLimit | ResponseStatus::CutByFilter => "response.incomplete",
        };
        let (output, usage) = (std::mem::take(&mut self.output), self.usage);
        self.event(name, out, |json| {
            json.extend_from_slice(b",\"response\":");
            head.write(json, status, &output, usage.as_ref());
        });
        Ok(())
    }
}

impl ResponseEvents {
    pub(in super::super) fn new(echo: &Echo, echoed: &Bytes) -> Self {
        Self {
            echo: echo.clone(),
            echoed: echoed.clone(),
            head: None,
            open: None,
            output: Vec::new(),
            items: 0,
            calls: 0,
            sent: 0,
            finish_reason: None,
            usage: None,
            json: Vec::new(),
        }
    }

    /// Sends an event with its number and the members that `write` writes, each after a comma.
    fn event(&mut self, name: &str, out: &mut dyn ChunkSink, write: impl FnOnce(&mut Vec<u8>)) {
        let head = format!("{{\"type\":\"{name}\",\"sequence_number\":{}", self.sent);
        self.sent += 1;
        self.json.clear();
        self.json.extend_from_slice(head.as_bytes());
        write(&mut self.json);
        self.json.push(b'}');
        out.event(name.as_bytes(), &[&self.json]);
    }

    fn begin(&mut self, answer: &ChatAnswer<'_>, out: &mut dyn ChunkSink) {
        if self.head.is_some() {
            return;
        }
        let head = head(answer, &self.echo, &self.echoed);
        for name in ["response.created", "response.in_progress"] {
            self.event(name, out, |json| {
                json.extend_from_slice(b",\"response\":");
                head.write(json, ResponseStatus::InProgress, b"", None);
            });
        }
        self.head = Some(head);
    }

    fn say(&mut self, said: &Said<'_>, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if let Some(text) = said.thoughts() {
            self.piece(&ItemKind::Thoughts, text, out);
        }
        for text in said.texts() {
            self.piece(&ItemKind::Text, text, out);
        }
        if let Some(text) = said.refusal() {
            self.piece(&ItemKind::Refusal, text, out);
        }
        for (at, call) in said.tool_calls.iter().flatten().enumerate() {
            self.call(call, at, out)?;
        }
        Ok(())
    }

    /// Adds to the open item, or begins one of this kind.
    fn piece(&mut self, kind: &ItemKind, text: Text<'_>, out: &mut dyn ChunkSink) {
        if self.open.as_ref().is_none_or(|open| open.kind != *kind) {
            self.start_item(kind.clone(), out);
        }
        self.add(text, out);
    }

    fn call(
        &mut self,
        call: &ToolCall<'_>,
        at: usize,
        out: &mut dyn ChunkSink,
    ) -> Result<(), AnswerFault> {
        let asked = call.index.unwrap_or(at as u64);
        let id = call.id.filter(|id| filled(id).is_some()).map(RawValue::get);
        let function = call.function;
        let arguments = function.and_then(Function::arguments);
        let goes_on = self.open.as_ref().is_some_and(|open| {
            matches!(&open.kind, ItemKind::Call { number, call_id, .. }
                if *number == asked && id.is_none_or(|id| id == call_id))
        });
        if !goes_on {
            let has_name = function.and_then(|function| function.name).and_then(filled).is_some();
            if !has_name && arguments.is_none() {
                return Ok(());
            }
            let mut kind = call_kind(call, self.calls, &self.echo)?;
            if let ItemKind::Call { number, .. } = &mut kind {
                *number = asked;
            }
            self.calls += 1;
            self.start_item(kind, out);
        }
        if let Some(arguments) = arguments {
            self.add(arguments.text(), out);
        }
        Ok(())
    }

    /// Begins an item after the end of the one before it.
    fn start_item(&mut self, kind: ItemKind, out: &mut dyn ChunkSink) {
        self.end_item(ResponseStatus::Completed, out);
        let item = OutputItem::new(kind, &self.echo, self.items);
        let at = self.items;
        self.event("response.output_item.added", out, |json| {
            json.extend_from_slice(format!(",\"output_index\":{at},\"item\":").as_bytes());
            item.write(json, ResponseStatus::InProgress);
        });
        let [added, ..] = names(&item.kind);
        if !added.is_empty() {
            self.event(added, out, |json| {
                write_place(json, &item, at);
                json.extend_from_slice(b",\"part\":");
                item.write_part(json);
            });
        }
        self.open = Some(item);
    }

    fn add(&mut self, text: Text<'_>, out: &mut dyn ChunkSink) {
        let Some(mut item) = self.open.take() else { return };
        let (at, [_, delta, ..]) = (self.items, names(&item.kind));
        self.event(delta, out, |json| {
            write_place(json, &item, at);
            json.extend_from_slice(b",\"delta\":\"");
            json.extend_from_slice(text.escaped().as_bytes());
            json.push(b'"');
        });
        item.text.extend_from_slice(text.escaped().as_bytes());
        self.open = Some(item);
    }

    fn end_item(&mut self, status: ResponseStatus, out: &mut dyn ChunkSink) {
        let Some(item) = self.open.take() else { return };
        let (at, [_, _, done, part_done]) = (self.items, names(&item.kind));
        let name = match item.kind {
            ItemKind::Call { .. } => "arguments",
            ItemKind::Refusal => "refusal",
            ItemKind::Thoughts | ItemKind::Text => "text",
        };
        self.event(done, out, |json| {
            write_place(json, &item, at);
            json.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
            json.extend_from_slice(&item.text);
            json.push(b'"');
        });
        if !part_done.is_empty() {
            self.event(part_done, out, |json| {
                write_place(json, &item, at);
                json.extend_from_slice(b",\"part\":");
                item.write_part(json);
            });
        }
        if !self.output.is_empty() {
            self.output.push(b',');
        }
        let start = self.output.len();
        item.write(&mut self.output, status);
        let written = self.output[start..].to_vec();
        self.event("response.output_item.done", out, |json| {
            json.extend_from_slice(format!(",\"output_index\":{at},\"item\":").as_bytes());
            json.extend_from_slice(&written);
        });
        self.items += 1;
    }
}

/// Appends the place of a part or of a piece of it.
fn write_place(json: &mut Vec<u8>, item: &OutputItem, at: usize) {
    let index = match item.kind {
        ItemKind::Thoughts => ",\"summary_index\":0",
        ItemKind::Text | ItemKind::Refusal => ",\"content_index\":0",
        ItemKind::Call { .. } => "",
    };
    let place = format!(",\"item_id\":{},\"output_index\":{at}{index}", item.id);
    json.extend_from_slice(place.as_bytes());
}
