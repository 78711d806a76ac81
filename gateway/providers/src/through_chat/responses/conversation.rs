//! Translates the instructions and the items of the input. Thoughts, a text and the calls of one
//! turn are items of their own here, and one message in a chat.

use super::{
    RequestError, RequestMembers, Unsupported,
    content::{write_parts, write_texts},
    list, member, object, required, text,
};
use crate::json_text::{Piece, Text};

/// The messages of a chat, as they are written.
pub(super) struct Conversation<'o, 'u> {
    out: &'o mut Vec<u8>,
    unsupported: &'u mut Unsupported,
    is_begun: bool,
    /// The model's turn that is not written yet; texts are escaped as in their source.
    turn: AssistantTurn,
}

/// What a model said and did in a turn.
#[derive(Debug, Default)]
struct AssistantTurn {
    text: Option<Vec<u8>>,
    thoughts: Vec<u8>,
    calls: Vec<u8>,
}

impl Conversation<'_, '_> {
    /// Appends the messages, with commas between them.
    pub(super) fn write(
        out: &mut Vec<u8>,
        members: &RequestMembers<'_>,
        unsupported: &mut Unsupported,
    ) -> Result<(), RequestError> {
        let turn = AssistantTurn::default();
        let mut chat = Conversation { out, unsupported, is_begun: false, turn };
        if let Some(system) = text(members, "instructions", || "instructions".to_owned())? {
            chat.begin("system").extend_from_slice(b",\"content\":");
            Piece::Source(system).write(chat.out);
            chat.out.push(b'}');
        }
        let path = || "input".to_owned();
        let input =
            member(members, "input").ok_or_else(|| RequestError::Missing { param: path() })?;
        if let Some(text) = input.text() {
            chat.begin("user").extend_from_slice(b",\"content\":");
            Piece::Source(text).write(chat.out);
            chat.out.push(b'}');
            return Ok(());
        }
        for (at, item) in list(input, &path, "a string or an array of items")?.enumerate() {
            chat.item(item, &format!("input[{at}]"))?;
        }
        chat.end_turn();
        Ok(())
    }

    /// Begins a message; the caller writes the rest of it, to its end.
    fn begin(&mut self, role: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"role\":\"");
        self.out.extend_from_slice(role.as_bytes());
        self.out.push(b'"');
        self.out
    }

    fn item(&mut self, json: &str, path: &str) -> Result<(), RequestError> {
        let item = object(json, || path.to_owned(), "an object with a `type` or a `role`")?;
        let kind = text(&item, "type", || format!("{path}.type"))?;
        match kind.map_or("message", Text::escaped) {
            "message" => self.message(&item, path),
            "reasoning" => self.thoughts(&item, path),
            "function_call" => {
                let id = required(&item, "call_id", || format!("{path}.call_id"))?;
                let name = required(&item, "name", || format!("{path}.name"))?;
                let arguments = required(&item, "arguments", || format!("{path}.arguments"))?;
                self.turn.call(id, name, arguments);
                Ok(())
            }
            "function_call_output" => self.result(&item, path),
            "item_reference" => Err(RequestError::NotTaken {
                param: path.to_owned(),
                remedy: "nothing is stored for it; send the item itself",
            }),
            _ => {
                self.unsupported.note(path);
                Ok(())
            }
        }
    }

    fn message(&mut self, item: &RequestMembers<'_>, path: &str) -> Result<(), RequestError> {
        let role = required(item, "role", || format!("{path}.role"))?;
        let content = member(item, "content")
            .ok_or_else(|| RequestError::Missing { param: format!("{path}.content") })?;
        let content_path = || format!("{path}.content");
        match role.escaped() {
            "assistant" => {
                if self.turn.text.is_some() || !self.turn.calls.is_empty() {
                    self.end_turn();
                }
                write_texts(self.turn.text.get_or_insert_default(), content, &content_path)
            }
            role @ ("user" | "system" | "developer") => {
                self.end_turn();
                let role = if role == "developer" { "system" } else { role };
                let out = self.begin(role);
                out.extend_from_slice(b",\"content\":");
                write_parts(self.out, content, self.unsupported, &content_path)?;
                self.out.push(b'}');
                Ok(())
            }
            _ => Err(RequestError::NotTaken {
                param: format!("{path}.role"),
                remedy: "send `user`, `assistant`, `system` or `developer`",
            }),
        }
    }

    /// Notes the thoughts before an answer, or their summary if the model keeps them secret.
    fn thoughts(&mut self, item: &RequestMembers<'_>, path: &str) -> Result<(), RequestError> {
        self.end_turn();
        for name in ["content", "summary"] {
            if self.turn.thoughts.is_empty()
                && let Some(parts) = member(item, name)
            {
                write_texts(&mut self.turn.thoughts, parts, &|| format!("{path}.{name}"))?;
            }
        }
        Ok(())
    }

    fn result(&mut self, item: &RequestMembers<'_>, path: &str) -> Result<(), RequestError> {
        self.end_turn();
        let id = required(item, "call_id", || format!("{path}.call_id"))?;
        let out = self.begin("tool");
        out.extend_from_slice(b",\"tool_call_id\":");
        Piece::Source(id).write(out);
        out.extend_from_slice(b",\"content\":\"");
        if let Some(output) = member(item, "output") {
            write_texts(out, output, &|| format!("{path}.output"))?;
        }
        out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.text.is_some() || !turn.calls.is_empty() {
            turn.write(self.begin("assistant"));
        }
    }
}

impl AssistantTurn {
    fn call(&mut self, id: Text<'_>, name: Text<'_>, arguments: Text<'_>) {
        if !self.calls.is_empty() {
            self.calls.push(b',');
        }
        for (before, text) in [
            (&b"{\"id\":"[..], id),
            (b",\"type\":\"function\",\"function\":{\"name\":", name),
            (b",\"arguments\":", arguments),
        ] {
            self.calls.extend_from_slice(before);
            Piece::Source(text).write(&mut self.calls);
        }
        self.calls.extend_from_slice(b"}}");
    }

    /// Writes the members of the message, to its end.
    fn write(&self, out: &mut Vec<u8>) {
        match &self.text {
            Some(text) => {
                out.extend_from_slice(b",\"content\":\"");
                out.extend_from_slice(text);
                out.push(b'"');
            }
            None => out.extend_from_slice(b",\"content\":null"),
        }
        if !self.thoughts.is_empty() {
            out.extend_from_slice(b",\"reasoning_content\":\"");
            out.extend_from_slice(&self.thoughts);
            out.push(b'"');
        }
        if !self.calls.is_empty() {
            out.extend_from_slice(b",\"tool_calls\":[");
            out.extend_from_slice(&self.calls);
            out.push(b']');
        }
        out.push(b'}');
    }
}
