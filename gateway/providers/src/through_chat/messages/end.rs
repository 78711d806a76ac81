//! How an answer ends, in Anthropic's words: the reason, and the tokens.

use super::ChatUsage;

/// The `stop_reason` of a `finish_reason`, as JSON. Some servers end a call of a tool with `stop`.
pub(super) fn stop_reason(
    finish_reason: Option<&str>,
    (refuses, calls_tools): (bool, bool),
) -> &'static str {
    match finish_reason {
        None => "null",
        Some(_) if refuses => "\"refusal\"",
        Some("length") => "\"max_tokens\"",
        Some("content_filter") => "\"refusal\"",
        Some("tool_calls" | "function_call") => "\"tool_use\"",
        Some("stop") if calls_tools => "\"tool_use\"",
        Some(_) => "\"end_turn\"",
    }
}

/// Appends `"usage":{…}`. Anthropic counts the cached parts of a prompt apart.
pub(super) fn write_usage(out: &mut Vec<u8>, usage: &ChatUsage) {
    let (read, written) = (usage.cached(), usage.written());
    let cached = read.saturating_add(written);
    let input = usage.prompt_tokens.unwrap_or(0).saturating_sub(cached);
    let text = format!(
        "\"usage\":{{\"input_tokens\":{input},\"cache_creation_input_tokens\":{written},\
         \"cache_read_input_tokens\":{read},\"output_tokens\":{}}}",
        usage.completion_tokens.unwrap_or(0)
    );
    out.extend_from_slice(text.as_bytes());
}
