//! The `guardrail` callback: denies or masks what regular expressions find in prompts and replies.
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
//! - A rule has a `pattern` (the syntax of the crate `regex`, linear in time) or a `preset`:
//!   `email`, `credit_card` (13 to 19 digits that pass the Luhn check), `api_key` (the shapes of
//!   well-known providers' keys).
//! - `deny` refuses the call with `status` and `message`; `mask` puts `replacement` in place of
//!   each match. Rules are applied in order, and a later one sees what an earlier one left.
//! - `on` says where: the `prompt` (the texts of all messages), the `reply`, or both.
//! - A refusal in the middle of a stream ends the stream with an error.
//!
//! # Streams
//!
//! A match that is cut over chunks is found: what streams is the same text that a JSON reply would
//! have had, however it is cut. A rule keeps back exactly the text that could still become a match
//! and lets everything before it go at once. So that this is never more than `hold_back` bytes, a
//! rule for replies whose match could be longer (`.*`, `\w+`) is refused at start: bound its
//! repetitions. Kept text goes out with the chunk that has the choice's `finish_reason`; in a
//! stream that has none it does not go out at all.
//!
//! # Limits
//!
//! Of a request, every text is looked at that a model may read: all texts of the messages (content,
//! parts of any type, names, reasoning, refusals, tool calls), and those of all other members that
//! are sent (`tools`, `functions`, `response_format`, `prompt`, `extra_body` and whatever else
//! there is), names of members and numbers of four digits and more included. The arguments of a
//! tool call are read as the JSON they hold. Pictures, sound and files in messages pass as they
//! are: their data and addresses, where they have that form. The parts of a message are looked at
//! together too, for an upstream may put them together; what cannot be masked there is refused.
//!
//! Of a JSON reply, every text is looked at but for ids and the like. Of a stream, the content, the
//! reasoning, the refusal and what tools are called with are looked at over chunks, other texts
//! chunk by chunk. While there are rules for replies, `logprobs` and `reasoning_details` are taken
//! out, for they repeat the text.
//!
//! A request may become 4 MiB or an eighth longer by what is put into it, whichever is more, and
//! the arguments of one tool call may be 8 MiB long; past that it is refused.
//!
//! An object of a chunk has 4096 members at most.
//!
//! What cannot be looked at does not pass: a request is refused with a 400, a reply is withheld
//! with a 502. Neither counts as a fault of this callback, and neither does a masked text or a note
//! that outgrows its bound.
//!
//! Leave `on_error` at `fail`: with `ignore`, what the callback cannot read passes unseen. What was
//! found is never logged.
//!
//! `settings` reads the rules, `rule` applies one to text, `prefix` knows what may become a match,
//! `growth` is how long a request may
//! become, `stream_buffer` is what a call's stream keeps back, `reply` and `prompt` know where text
//! stands in JSON, `object` reads one level of a chunk, `text` passes over all of it (`scan`,
//! `words`, `media`, `shape` and `seams` say what is what).

mod growth;
mod media;
mod object;
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
mod words;

use plugin_api::{
    CallView, Callback, Chunk, EditError, Flow, Hook, HookError, Host, InitError, Level, LlmCall,
    LlmReply, Rejection,
};
use reply::unexpected;
use rule::{Denial, Rule};
use settings::Settings;
use stream_buffer::StreamBuffer;

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
            return Err(withheld("it is not UTF-8, so it cannot be judged"));
        }
        let withheld = StreamBuffer::read(call.local()).ok_or_else(unreadable_note)?.text_len();
        if withheld > 0 {
            self.host.log_with(
                Level::Warn,
                "the stream ended without a finish reason, so text that was kept back is not sent",
                &[("call.id", call.id()), ("bytes", &withheld.to_string())],
            );
        }
        Ok(Flow::Continue)
    }
}

impl From<Denial> for HookError {
    fn from(denial: Denial) -> Self {
        Rejection::new(denial.status, denial.message).code("guardrail").into()
    }
}

/// What of a reply cannot be judged does not pass. It is the upstream's doing, not this callback's.
fn withheld(why: &str) -> HookError {
    let message = format!("the reply is withheld: {why}");
    Rejection::new(502, message).code("guardrail").into()
}

fn withheld_edit(error: EditError) -> HookError {
    withheld(&format!("what the rules make of it cannot be sent ({error})"))
}

fn unreadable_note() -> HookError {
    HookError::internal("the call's note is not one of this callback's")
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
