//! Translates a whole answer: a `chat.completion` in, a message out.

use super::{
    AnswerFault, ChatAnswer, Echo, Function, Said, ToolCall,
    end::{stop_reason, write_usage},
    filled,
};
use crate::json_text::{Piece, Text, kind_of, push_string};
use serde_json::value::RawValue;

/// The message that a completion stands for.
pub(in super::super) fn reply(completion: &[u8], echo: &Echo) -> Result<Vec<u8>, AnswerFault> {
    let answer = ChatAnswer::read(completion)?;
    let Some(choice) = answer.first() else {
        return Err(AnswerFault::Malformed("its completion has no choice".to_owned()));
    };
    let said = choice.said();
    let finish_reason = choice.finish_reason.as_ref().map(|reason| &*reason.0);
    let calls = said.and_then(|said| said.tool_calls.as_deref()).unwrap_or_default();
    let mut out = Vec::with_capacity(completion.len() + 256);
    write_head(&mut out, &answer, echo);
    out.extend_from_slice(b",\"content\":[");
    let mut blocks = Blocks { out: &mut out, is_begun: false };
    if let Some(said) = said {
        blocks.thoughts(said);
        blocks.texts(said);
    }
    for (at, call) in calls.iter().enumerate() {
        blocks.call(call, at, (finish_reason == Some("length"), echo))?;
    }
    let refuses = said.is_some_and(|said| said.refusal().is_some());
    let reason = stop_reason(finish_reason, (refuses, !calls.is_empty()));
    out.extend_from_slice(b"],\"stop_reason\":");
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b",\"stop_sequence\":null,");
    write_usage(&mut out, &answer.usage().unwrap_or_default());
    out.push(b'}');
    Ok(out)
}

/// Appends the beginning of a message, without its content.
pub(super) fn write_head(out: &mut Vec<u8>, answer: &ChatAnswer<'_>, echo: &Echo) {
    out.extend_from_slice(b"{\"id\":");
    match answer.id.and_then(filled) {
        Some(id) => Piece::Source(id).write(out),
        None => push_string(out, &echo.id),
    }
    out.extend_from_slice(b",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
    match answer.model.and_then(filled) {
        Some(model) => Piece::Source(model).write(out),
        None => push_string(out, &echo.model),
    }
}

struct Blocks<'o> {
    out: &'o mut Vec<u8>,
    is_begun: bool,
}

impl Blocks<'_> {
    fn begin(&mut self, kind: &str) -> &mut Vec<u8> {
        if std::mem::replace(&mut self.is_begun, true) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"type\":\"");
        self.out.extend_from_slice(kind.as_bytes());
        self.out.push(b'"');
        self.out
    }

    /// Appends the thoughts: the blocks of a model of Anthropic's as they came, else a text without
    /// a signature.
    fn thoughts(&mut self, said: &Said<'_>) {
        let blocks = said.thinking_blocks.as_deref().unwrap_or_default();
        for thought in blocks {
            if let Some(data) = thought.data.and_then(filled) {
                let out = self.begin("redacted_thinking");
                out.extend_from_slice(b",\"data\":");
                Piece::Source(data).write(out);
                out.push(b'}');
            } else if let Some(text) = thought.thinking.and_then(Text::of) {
                self.thought(text, thought.signature.and_then(filled));
            }
        }
        if let Some(text) = said.thoughts().filter(|_| blocks.is_empty()) {
            self.thought(text, None);
        }
    }

    fn thought(&mut self, text: Text<'_>, signature: Option<Text<'_>>) {
        let out = self.begin("thinking");
        out.extend_from_slice(b",\"thinking\":");
        Piece::Source(text).write(out);
        out.extend_from_slice(b",\"signature\":");
        match signature {
            Some(signature) => Piece::Source(signature).write(out),
            None => out.extend_from_slice(b"\"\""),
        }
        out.push(b'}');
    }

    /// Appends the texts, or the refusal, as one block.
    fn texts(&mut self, said: &Said<'_>) {
        let mut texts = said.texts().chain(said.refusal()).peekable();
        if texts.peek().is_none() {
            return;
        }
        let out = self.begin("text");
        out.extend_from_slice(b",\"text\":\"");
        texts.for_each(|text| out.extend_from_slice(text.escaped().as_bytes()));
        out.extend_from_slice(b"\"}");
    }

    /// Appends a call of a tool. A call that the limit of tokens has cut is left out: it would look
    /// whole.
    fn call(
        &mut self,
        call: &ToolCall<'_>,
        at: usize,
        (is_cut, echo): (bool, &Echo),
    ) -> Result<(), AnswerFault> {
        let function = call.function;
        let arguments = function.and_then(Function::arguments);
        let arguments = arguments.as_ref().map(|it| it.text().decode_lossy()).unwrap_or_default();
        let input = match arguments.trim() {
            "" => "{}",
            input => input,
        };
        let is_object = kind_of(input) == "an object";
        let Ok(input) = serde_json::from_str::<&RawValue>(input)
            .map_err(drop)
            .and_then(|input| if is_object { Ok(input) } else { Err(()) })
        else {
            return match is_cut {
                true => Ok(()),
                false => Err(AnswerFault::Malformed(
                    "the arguments of a tool's call are no JSON object".to_owned(),
                )),
            };
        };
        let name = function.and_then(|function| function.name).and_then(filled);
        let name = name.ok_or_else(nameless)?;
        let out = self.begin("tool_use");
        out.extend_from_slice(b",\"id\":");
        write_id(out, call.id, at, echo);
        out.extend_from_slice(b",\"name\":");
        Piece::Source(name).write(out);
        out.extend_from_slice(b",\"input\":");
        out.extend_from_slice(input.get().as_bytes());
        out.push(b'}');
        Ok(())
    }
}

/// Appends the id of a call, or one of the gateway's if the upstream gives none.
pub(super) fn write_id(out: &mut Vec<u8>, id: Option<&RawValue>, at: usize, echo: &Echo) {
    match id.and_then(filled) {
        Some(id) => Piece::Source(id).write(out),
        None => push_string(out, &format!("toolu_{}_{at}", echo.id)),
    }
}

pub(super) fn nameless() -> AnswerFault {
    AnswerFault::Malformed("a tool's call without a name".to_owned())
}
