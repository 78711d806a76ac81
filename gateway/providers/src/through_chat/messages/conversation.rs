//! Translates the system prompt and the turns. The results of tools, which stand in a user's turn
//! here, become messages of their own before the rest of the turn.

use super::{
    Json, RequestError, RequestMembers, Unsupported,
    content::{Parts, joined_text},
    list, member, object, required,
};
use crate::json_text::{Piece, push_string};

/// The messages of a chat, as they are written.
pub(super) struct Conversation<'o, 'u> {
    out: &'o mut Vec<u8>,
    unsupported: &'u mut Unsupported,
    is_begun: bool,
}

impl Conversation<'_, '_> {
    /// Appends the messages, with commas between them.
    pub(super) fn write(
        out: &mut Vec<u8>,
        members: &RequestMembers<'_>,
        unsupported: &mut Unsupported,
    ) -> Result<(), RequestError> {
        let mut chat = Conversation { out, unsupported, is_begun: false };
        if let Some(system) = member(members, "system") {
            let system = joined_text(system, "\\n\\n", &|| "system".to_owned())?;
            if !system.is_empty() {
                chat.begin("system").extend_from_slice(b",\"content\":");
                system.write(chat.out);
                chat.out.push(b'}');
            }
        }
        let path = || "messages".to_owned();
        let turns =
            member(members, "messages").ok_or_else(|| RequestError::Missing { param: path() })?;
        for (at, turn) in list(turns, &path, "an array of messages")?.enumerate() {
            chat.turn(turn, &|| format!("messages[{at}]"))?;
        }
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

    fn turn(&mut self, json: &str, path: &dyn Fn() -> String) -> Result<(), RequestError> {
        let turn = object(json, path, "an object with `role` and `content`")?;
        let role = required(&turn, "role", || format!("{}.role", path()))?;
        let content = member(&turn, "content")
            .ok_or_else(|| RequestError::Missing { param: format!("{}.content", path()) })?;
        let of_role = path;
        let path = || format!("{}.content", of_role());
        match role.escaped() {
            "user" => self.user(content, &path),
            "assistant" => self.assistant(content, &path),
            // Of clients that write the prompt in OpenAI's manner.
            "system" | "developer" => {
                let text = joined_text(content, "\\n\\n", &path)?;
                self.begin("system").extend_from_slice(b",\"content\":");
                text.write(self.out);
                self.out.push(b'}');
                Ok(())
            }
            _ => Err(RequestError::NotTaken {
                param: format!("{}.role", of_role()),
                remedy: "send `user` or `assistant`",
            }),
        }
    }

    fn user(&mut self, content: Json<'_>, path: &dyn Fn() -> String) -> Result<(), RequestError> {
        let mut parts = Parts::default();
        if let Some(text) = content.text() {
            parts.text(&Piece::Source(text));
        } else {
            for (at, json) in list(content, path, BLOCKS)?.enumerate() {
                let path = || format!("{}[{at}]", path());
                let block = object(json, path, "a content block")?;
                let kind = required(&block, "type", || format!("{}.type", path()))?;
                if kind.escaped() == "tool_result" {
                    self.result(&block, &mut parts, &path)?;
                } else {
                    parts.block(kind.escaped(), &block, self.unsupported, &path)?;
                }
            }
        }
        if !parts.is_empty() {
            let out = self.begin("user");
            out.extend_from_slice(b",\"content\":");
            parts.write(out);
            out.push(b'}');
        }
        Ok(())
    }

    /// Appends a tool's result. A chat's has only text: pictures and files follow in the user's
    /// message.
    fn result(
        &mut self,
        block: &RequestMembers<'_>,
        after: &mut Parts,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let id = required(block, "tool_use_id", || format!("{}.tool_use_id", path()))?;
        let mut said = Parts::default();
        if let Some(content) = member(block, "content") {
            if let Some(text) = content.text() {
                said.text(&Piece::Source(text));
            } else {
                let path = || format!("{}.content", path());
                for (at, json) in list(content, &path, BLOCKS)?.enumerate() {
                    let path = || format!("{}[{at}]", path());
                    let block = object(json, path, "a content block")?;
                    let kind = required(&block, "type", || format!("{}.type", path()))?;
                    said.block(kind.escaped(), &block, self.unsupported, &path)?;
                }
            }
        }
        let out = self.begin("tool");
        out.extend_from_slice(b",\"tool_call_id\":");
        Piece::Source(id).write(out);
        out.extend_from_slice(b",\"content\":\"");
        said.take_text(out);
        out.extend_from_slice(b"\"}");
        after.append(&said);
        Ok(())
    }

    fn assistant(
        &mut self,
        content: Json<'_>,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let mut said = AssistantTurn::default();
        if let Some(text) = content.text() {
            said.text.extend_from_slice(text.escaped().as_bytes());
        } else {
            for (at, json) in list(content, path, BLOCKS)?.enumerate() {
                let path = || format!("{}[{at}]", path());
                let block = object(json, path, "a content block")?;
                said.block(&block, self.unsupported, &path)?;
            }
        }
        let out = self.begin("assistant");
        said.write(out);
        Ok(())
    }
}

const BLOCKS: &str = "a string or an array of content blocks";

/// What a model said and did in a turn; texts are escaped as in their source.
#[derive(Debug, Default)]
struct AssistantTurn {
    text: Vec<u8>,
    thoughts: Vec<u8>,
    calls: Vec<u8>,
}

impl AssistantTurn {
    fn block(
        &mut self,
        block: &RequestMembers<'_>,
        unsupported: &mut Unsupported,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let kind = required(block, "type", || format!("{}.type", path()))?;
        match kind.escaped() {
            "text" => {
                let text = required(block, "text", || format!("{}.text", path()))?;
                self.text.extend_from_slice(text.escaped().as_bytes());
            }
            "thinking" => {
                let text = required(block, "thinking", || format!("{}.thinking", path()))?;
                self.thoughts.extend_from_slice(text.escaped().as_bytes());
            }
            // Only Anthropic can read it.
            "redacted_thinking" => {}
            "tool_use" => self.call(block, path)?,
            _ => unsupported.note(path()),
        }
        Ok(())
    }

    fn call(
        &mut self,
        block: &RequestMembers<'_>,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let id = required(block, "id", || format!("{}.id", path()))?;
        let name = required(block, "name", || format!("{}.name", path()))?;
        let input = member(block, "input").map_or("{}", Json::get);
        object(input, || format!("{}.input", path()), "an object")?;
        if !self.calls.is_empty() {
            self.calls.push(b',');
        }
        let out = &mut self.calls;
        out.extend_from_slice(b"{\"id\":");
        Piece::Source(id).write(out);
        out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
        Piece::Source(name).write(out);
        out.extend_from_slice(b",\"arguments\":");
        push_string(out, input);
        out.extend_from_slice(b"}}");
        Ok(())
    }

    /// Writes the members of the message, to its end.
    fn write(&self, out: &mut Vec<u8>) {
        if self.text.is_empty() && !self.calls.is_empty() {
            out.extend_from_slice(b",\"content\":null");
        } else {
            out.extend_from_slice(b",\"content\":\"");
            out.extend_from_slice(&self.text);
            out.push(b'"');
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
