//! The form of a complete reply.

use crate::open_value::OpenValue;

/// The members of a message that hold text for people.
pub(crate) const FIELDS: [&str; 5] =
    ["content", "reasoning_content", "reasoning", "refusal", "thinking"];

/// Members that repeat the text of a choice in a form that rules cannot search.
pub(crate) const REPEATS: [&str; 2] = ["logprobs", "reasoning_details"];

pub(crate) fn repeats(name: &str) -> bool {
    REPEATS.contains(&name)
}

/// Returns whether a value that begins with this byte may stand at this place of a reply.
pub(crate) fn is_known(open: &[OpenValue<'_>], byte: u8) -> bool {
    let nothing = byte == b'n';
    match open {
        [] => byte == b'{',
        [reply, ..] if reply.name != "choices" => true,
        [_] => nothing || byte == b'[',
        [_, _] => byte == b'{',
        [_, _, choice] if choice.name == "message" => nothing || byte == b'{',
        [_, _, choice, message, inner @ ..]
            if choice.name == "message" && FIELDS.contains(&&*message.name) =>
        {
            match inner {
                [] => nothing || matches!(byte, b'"' | b'['),
                [_] => matches!(byte, b'"' | b'{'),
                [_, part] if matches!(&*part.name, "text" | "refusal") => nothing || byte == b'"',
                _ => true,
            }
        }
        _ => true,
    }
}
