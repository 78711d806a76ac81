//! Translates a stream: a chat's chunks in, Anthropic's events out.

use super::{
    AnswerFault, ChatAnswer, ChatEvents, ChatUsage, Echo, Function, Said, ToolCall,
    end::{stop_reason, write_usage},
    filled,
    reply::{nameless, write_head, write_id},
};
use crate::{
    ChunkSink,
    json_text::{Piece, Text},
};

/// The state of a message that is being said.
pub(in super::super) struct MessageEvents {
    echo: Echo,
    is_begun: bool,
    open: Option<OpenBlock>,
    /// The number of blocks so far, and of those that call tools.
    blocks: u64,
    calls: usize,
    finish_reason: Option<String>,
    refuses: bool,
    usage: ChatUsage,
    json: Vec<u8>,
}

/// The block that is being said.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OpenBlock {
    Text,
    Thinking,
    /// The call's number in the chat, and its id as JSON.
    Call(u64, Option<String>),
}

impl ChatEvents for MessageEvents {
    fn chunk(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let answer = ChatAnswer::read(json)?;
        self.usage = answer.usage().unwrap_or(self.usage);
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
        if !self.is_begun {
            return Err(AnswerFault::Other("a stream without a completion"));
        }
        self.stop_block(out);
        let reason = self.finish_reason.as_deref();
        let reason = stop_reason(reason, (self.refuses, self.calls > 0));
        self.json.clear();
        self.json.extend_from_slice(b"{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":");
        self.json.extend_from_slice(reason.as_bytes());
        self.json.extend_from_slice(b",\"stop_sequence\":null},");
        write_usage(&mut self.json, &self.usage);
        self.json.push(b'}');
        out.event(b"message_delta", &[&self.json]);
        out.event(b"message_stop", &[b"{\"type\":\"message_stop\"}"]);
        Ok(())
    }
}

impl MessageEvents {
    pub(in super::super) fn new(echo: &Echo) -> Self {
        Self {
            echo: echo.clone(),
            is_begun: false,
            open: None,
            blocks: 0,
            calls: 0,
            finish_reason: None,
            refuses: false,
            usage: ChatUsage::default(),
            json: Vec::new(),
        }
    }

    /// Begins the message. The tokens of the prompt are known only at the end of a chat.
    fn begin(&mut self, answer: &ChatAnswer<'_>, out: &mut dyn ChunkSink) {
        if std::mem::replace(&mut self.is_begun, true) {
            return;
        }
        self.json.clear();
        self.json.extend_from_slice(b"{\"type\":\"message_start\",\"message\":");
        write_head(&mut self.json, answer, &self.echo);
        self.json
            .extend_from_slice(b",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,");
        write_usage(&mut self.json, &self.usage);
        self.json.extend_from_slice(b"}}");
        out.event(b"message_start", &[&self.json]);
        out.event(b"ping", &[b"{\"type\":\"ping\"}"]);
    }

    fn say(&mut self, said: &Said<'_>, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if let Some(text) = said.thoughts() {
            self.thought(out);
            self.delta("thinking_delta", "thinking", &Piece::Source(text), out);
        }
        for thought in said.thinking_blocks.iter().flatten() {
            if let Some(data) = thought.data.and_then(filled) {
                self.start("redacted_thinking", out, |json| {
                    json.extend_from_slice(b",\"data\":");
                    Piece::Source(data).write(json);
                });
                self.stop_block(out);
            }
            if let Some(signature) = thought.signature.and_then(filled) {
                self.thought(out);
                self.delta("signature_delta", "signature", &Piece::Source(signature), out);
                // A signature ends its thought.
                self.stop_block(out);
            }
        }
        self.refuses |= said.refusal().is_some();
        for text in said.texts().chain(said.refusal()) {
            if self.open != Some(OpenBlock::Text) {
                self.start("text", out, |json| json.extend_from_slice(b",\"text\":\"\""));
                self.open = Some(OpenBlock::Text);
            }
            self.delta("text_delta", "text", &Piece::Source(text), out);
        }
        for (at, call) in said.tool_calls.iter().flatten().enumerate() {
            self.call(call, at, out)?;
        }
        Ok(())
    }

    fn thought(&mut self, out: &mut dyn ChunkSink) {
        if self.open != Some(OpenBlock::Thinking) {
            self.start("thinking", out, |json| {
                json.extend_from_slice(b",\"thinking\":\"\",\"signature\":\"\"");
            });
            self.open = Some(OpenBlock::Thinking);
        }
    }

    fn call(
        &mut self,
        call: &ToolCall<'_>,
        at: usize,
        out: &mut dyn ChunkSink,
    ) -> Result<(), AnswerFault> {
        let number = call.index.unwrap_or(at as u64);
        let id = call.id.and_then(filled).map(Text::escaped);
        let function = call.function;
        let arguments = function.and_then(Function::arguments);
        let goes_on = matches!(&self.open, Some(OpenBlock::Call(open, known))
            if *open == number && (id.is_none() || id == known.as_deref()));
        if !goes_on {
            let name = function.and_then(|function| function.name).and_then(filled);
            let Some(name) = name else {
                return match arguments {
                    None => Ok(()),
                    Some(_) => Err(nameless()),
                };
            };
            let (calls, echo) = (self.calls, self.echo.clone());
            self.start("tool_use", out, |json| {
                json.extend_from_slice(b",\"id\":");
                write_id(json, call.id, calls, &echo);
                json.extend_from_slice(b",\"name\":");
                Piece::Source(name).write(json);
                json.extend_from_slice(b",\"input\":{}");
            });
            self.calls += 1;
            self.open = Some(OpenBlock::Call(number, id.map(str::to_owned)));
        }
        if let Some(arguments) = arguments {
            self.delta("input_json_delta", "partial_json", &arguments, out);
        }
        Ok(())
    }

    /// Begins a block after the end of the one before it.
    fn start(&mut self, kind: &str, out: &mut dyn ChunkSink, write: impl FnOnce(&mut Vec<u8>)) {
        self.stop_block(out);
        let head = format!(
            "{{\"type\":\"content_block_start\",\"index\":{},\"content_block\":{{\"type\":\"{kind}\"",
            self.blocks
        );
        self.json.clear();
        self.json.extend_from_slice(head.as_bytes());
        write(&mut self.json);
        self.json.extend_from_slice(b"}}");
        self.blocks += 1;
        // Until the caller says what it is; a block without pieces ends at once.
        self.open = Some(OpenBlock::Text);
        out.event(b"content_block_start", &[&self.json]);
    }

    fn delta(&mut self, kind: &str, name: &str, text: &Piece<'_>, out: &mut dyn ChunkSink) {
        let head = format!(
            "{{\"type\":\"content_block_delta\",\"index\":{},\"delta\":{{\"type\":\"{kind}\",\"{name}\":",
            self.blocks.saturating_sub(1)
        );
        self.json.clear();
        self.json.extend_from_slice(head.as_bytes());
        text.write(&mut self.json);
        self.json.extend_from_slice(b"}}");
        out.event(b"content_block_delta", &[&self.json]);
    }

    fn stop_block(&mut self, out: &mut dyn ChunkSink) {
        if self.open.take().is_some() {
            let index = self.blocks.saturating_sub(1);
            let json = format!("{{\"type\":\"content_block_stop\",\"index\":{index}}}");
            out.event(b"content_block_stop", &[json.as_bytes()]);
        }
    }
}
