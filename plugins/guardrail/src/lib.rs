//! The `guardrail` callback denies or masks text that regular expressions find in prompts and
//! replies.
//!
//! ```yaml
//! litellm_settings:
//!   callbacks: [guardrail]
//! callback_settings:
//!   guardrail:
//!     rules:
//!       - {preset: credit_card, action: mask}
//!       - {preset: api_key, action: deny, on: [prompt]}
//!       - {name: project, pattern: "(?i)project nightfall", action: mask, replacement: a project}
//! ```
//!
//! - A rule has a `pattern` (in the syntax of the crate `regex`, which takes linear time) or a
//!   `preset`: `email`, `credit_card` (13 to 19 digits that pass the Luhn check), `api_key` (the
//!   forms of well-known providers' keys).
//! - `deny` refuses the call with `status` and `message`; `mask` replaces each match with
//!   `replacement`. Rules apply in order, and a later rule sees the text as earlier ones masked it.
//! - `on` says where to look: in the `prompt`, the `reply`, or both.
//! - A rejection within a stream ends the stream with an error.
//!
//! # Streams
//!
//! A match that is split across chunks is found: a streamed text comes out as it would in a JSON
//! reply, however chunks divide it. A rule holds back text that could still become a match, and
//! nothing else. To keep this within `hold_back` bytes, a rule for replies whose match could be
//! longer (`.*`, `\w+`) refuses the start: bound its repetitions. Held text goes out with the chunk
//! that has the choice's `finish_reason`. In a stream without one it is withheld.
//!
//! # Limits
//!
//! In a request, every text that a model may read is searched: all texts of the messages (content,
//! parts of any type, names, reasoning, refusals, tool calls), and those of all other members that
//! are sent (`tools`, `functions`, `response_format`, `prompt`, `extra_body` and others), names of
//! members and numbers of four digits or more included. The arguments of a tool call are read as
//! JSON. The data and addresses of pictures, sound and files in messages pass unsearched if they
//! have the right form. The parts of a message are also searched together, because an upstream may
//! join them; a match that spans several parts is refused, because it cannot be masked.
//!
//! In a JSON reply, every text is searched except ids and the like, names of members that are no
//! words of the API included. In a stream, content, reasoning, refusal and the arguments of tool
//! calls are searched across chunks, other texts and names chunk by chunk. If there are rules for
//! replies, `logprobs` and `reasoning_details` are removed, because they repeat the text.
//!
//! If there are rules for replies, a stream of another endpoint than chat is refused with a 400.
//!
//! Masks may make a request 4 MiB or an eighth longer, whichever is more, and the arguments of one
//! tool call may be 8 MiB long. A request beyond that is refused.
//!
//! An object of a chunk may have at most 4096 members.
//!
//! Content that cannot be searched does not pass: a request gets a 400, a reply is withheld with a
//! 502. Neither is a fault of this callback. The same holds for a masked text or a note that
//! exceeds its limit.
//!
//! Leave `on_error` at `fail`: under `ignore`, content passes unsearched when the callback fails.
//! Matches are never logged.
//!
//! `settings` reads the rules, `rule` applies one to text, and `prefix` computes which text could
//! become a match. `growth` limits how much longer a request becomes, and `stream_buffer` holds the
//! text that a stream holds back. `reply` and `prompt` know where text stands in JSON; `object`
//! reads one level of a chunk, `text` passes over all of it, with the help of `scan`, `words`,
//! `media`, `shape` and `seams`.

mod denial;
mod growth;
mod media;
mod object;
mod open_value;
mod prefix;
mod preset;
mod prompt;
mod reply;
mod rule;
mod scan;
mod seams;
mod settings;
mod shape;
mod stream_buffer;
#[cfg(test)]
mod tests;
mod text;
mod withheld;
mod words;

use plugin_api::{
    CallView, Callback, Chunk, EditError, Endpoint, Flow, Hook, HookError, Host, InitError, Level,
    LlmCall, LlmReply, Rejection,
};
use rule::Rule;
use settings::Settings;
use stream_buffer::StreamBuffer;
use withheld::withheld;

/// The rules of an instance.
#[derive(Debug)]
pub struct Guardrail {
    host: Host,
    prompt: Vec<Rule>,
    reply: Vec<Rule>,
}

impl Callback for Guardrail {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let (prompt, reply) = settings.rules().map_err(InitError::new)?;
        Ok(Self { host, prompt, reply })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        if !self.reply.is_empty() && call.stream() && call.endpoint() != Endpoint::CHAT {
            return Err(stream_of_another_kind().into());
        }
        if !self.prompt.is_empty() {
            prompt::apply(&self.prompt, call)?;
        }
        Ok(Flow::Continue)
    }

    fn on_llm_new_token(&self, call: &mut CallView<'_>, chunk: &mut Chunk<'_>) -> Hook {
        if self.reply.is_empty() {
            return Ok(Flow::Continue);
        }
        let mut held = StreamBuffer::read(call.local()).ok_or_else(unreadable_note)?;
        if let Some(json) = reply::chunk(&self.reply, &mut held, chunk.json())? {
            chunk.set_json(&json).map_err(withheld_edit)?;
        }
        call.set_local(&held.note()).map_err(withheld_edit)?;
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        if self.reply.is_empty() {
            return Ok(Flow::Continue);
        }
        if let Some(json) = reply.json() {
            if let Some(json) = reply::whole(&self.reply, json)? {
                reply.set_json(&json).map_err(withheld_edit)?;
            }
            return Ok(Flow::Continue);
        }
        if !call.stream() {
            return Err(withheld("it is not UTF-8, so it cannot be searched"));
        }
        let withheld = StreamBuffer::read(call.local()).ok_or_else(unreadable_note)?.text_len();
        if withheld > 0 {
            self.host.log_with(
                Level::Warn,
                "the stream ended without a finish reason, so the text that was held back is not sent",
                &[("call.id", call.id()), ("bytes", &withheld.to_string())],
            );
        }
        Ok(Flow::Continue)
    }
}

/// Only in streams of chats is a match found that is split across chunks.
fn stream_of_another_kind() -> Rejection {
    let text =
        "this gateway searches answers, and in streams only those of chats; ask without `stream`";
    Rejection::new(400, text).code("guardrail")
}

fn withheld_edit(error: EditError) -> HookError {
    withheld(&format!("the masked text cannot be sent ({error})"))
}

fn unreadable_note() -> HookError {
    HookError::internal("expected this callback's own note on the call, found another one")
}

plugin_api::export_callbacks! {
    Guardrail {
        name: "guardrail",
        kind: sync,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end],
        reads: ["messages", "params", "chunk", "reply"],
        writes: ["messages", "params", "chunk", "reply"],
        settings_schema: include_str!("../settings.schema.json"),
        sample_settings: r#"{"rules": [{"preset": "email", "action": "mask"}]}"#,
    }
}
