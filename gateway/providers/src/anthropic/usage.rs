//! Token counts: Anthropic counts a prompt's cached parts apart, OpenAI within the prompt.

use crate::Usage;
use serde::Deserialize;

/// The counts of an answer; in a stream, each event has those known by then.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

impl Counts {
    /// Takes the counts of a later event.
    pub(super) fn update(&mut self, later: Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_read_input_tokens =
            later.cache_read_input_tokens.or(self.cache_read_input_tokens);
    }

    /// The counts in OpenAI's sense; `None` if the upstream sent none.
    pub(super) fn usage(&self) -> Option<Usage> {
        let (input, output) = (self.input_tokens?, self.output_tokens?);
        let cached = self.written().saturating_add(self.read());
        let prompt_tokens = input.saturating_add(cached);
        Some(Usage {
            prompt_tokens,
            completion_tokens: output,
            total_tokens: prompt_tokens.saturating_add(output),
        })
    }

    /// Appends `"usage":{…}`, with the cached parts as OpenAI and as LiteLLM name them.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Some(Usage { prompt_tokens, completion_tokens, total_tokens }) = self.usage() else {
            out.extend_from_slice(b"\"usage\":null");
            return;
        };
        let (read, written) = (self.read(), self.written());
        let text = format!(
            "\"usage\":{{\"prompt_tokens\":{prompt_tokens},\
             \"completion_tokens\":{completion_tokens},\"total_tokens\":{total_tokens},\
             \"prompt_tokens_details\":{{\"cached_tokens\":{read}}},\
             \"cache_creation_input_tokens\":{written},\"cache_read_input_tokens\":{read}}}"
        );
        out.extend_from_slice(text.as_bytes());
    }

    fn read(&self) -> u64 {
        self.cache_read_input_tokens.unwrap_or(0)
    }

    fn written(&self) -> u64 {
        self.cache_creation_input_tokens.unwrap_or(0)
    }
}

/// The finish reason of a `stop_reason`.
pub(super) fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        // `end_turn`, `stop_sequence`, `pause_turn`.
        _ => "stop",
    }
}
