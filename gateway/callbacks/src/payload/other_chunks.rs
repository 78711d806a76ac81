//! The text in answers that have no `choices`: OpenAI's responses and Anthropic's messages, as
//! events of a stream or whole.

use super::object::with_member;
use callgate_json::{json_text, slices};

/// The events that add text.
const RESPONSE_TEXT: &[u8] = br#""response.output_text.delta""#;
const MESSAGE_TEXT: &[u8] = br#""content_block_delta""#;

/// The events after which no text of the same block may come.
const ENDS: [&[u8]; 4] = [
    br#""response.output_text.done""#,
    br#""response.content_part.done""#,
    br#""response.output_item.done""#,
    br#""content_block_stop""#,
];

fn kind(event: &[u8]) -> &[u8] {
    slices::member(event, "type").unwrap_or_default()
}

/// The text that an event adds, as JSON.
pub(super) fn text(event: &[u8]) -> Option<&[u8]> {
    let delta = || slices::member(event, "delta");
    match kind(event) {
        RESPONSE_TEXT => delta(),
        MESSAGE_TEXT => slices::member(delta()?, "text"),
        _ => None,
    }
}

/// The number of the output item or content block that the event belongs to.
pub(super) fn block(event: &[u8]) -> Option<u64> {
    let index = ["output_index", "index"].into_iter().find_map(|name| slices::member(event, name));
    std::str::from_utf8(index?).ok()?.parse().ok()
}

/// Whether no text of the block may come after the event.
pub(super) fn ends_text(event: &[u8]) -> bool {
    ENDS.contains(&kind(event))
}

/// The event with another text.
pub(super) fn with_text(event: &[u8], text: &str) -> Option<String> {
    self::text(event)?;
    let text = json_text(text);
    let delta = match kind(event) {
        RESPONSE_TEXT => text,
        _ => with_member(slices::member(event, "delta")?, "text", &text).into(),
    };
    String::from_utf8(with_member(event, "delta", &delta)).ok()
}

/// The texts of a whole answer, or the one that an event adds.
pub(super) fn texts_of(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let list = |of, name| slices::elements(slices::member(of, name).unwrap_or_default());
    let of_output = list(json, "output").flat_map(move |item| list(item, "content"));
    let parts = of_output.chain(list(json, "content"));
    let texts = parts.filter_map(|part| slices::member(part, "text"));
    // A transcript has no `type`.
    let transcript = slices::member(json, "text").filter(|_| kind(json).is_empty());
    text(json).or(transcript).into_iter().chain(texts)
}

/// Why the answer ended, as JSON.
pub(super) fn finish_reason(json: &[u8]) -> Option<&[u8]> {
    let member = slices::member;
    match kind(json) {
        br#""message_delta""# => member(member(json, "delta")?, "stop_reason"),
        br#""message""# => member(json, "stop_reason"),
        br#""response.completed""# | br#""response.incomplete""# | br#""response.failed""# => {
            member(member(json, "response")?, "status")
        }
        _ if member(json, "output").is_some() => member(json, "status"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_event_is_read_and_replaced() {
        for (event, expected, now) in [
            (
                r#"{"type":"response.output_text.delta","output_index":1,"delta":"a"}"#,
                Some("\"a\""),
                Some(r#"{"type":"response.output_text.delta","output_index":1,"delta":"b\n"}"#),
            ),
            (
                r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"a"}}"#,
                Some("\"a\""),
                Some(
                    r#"{"type":"content_block_delta","index":2,"delta":{"type":"text_delta","text":"b\n"}}"#,
                ),
            ),
            (r#"{"type":"content_block_delta","delta":{"partial_json":"{}"}}"#, None, None),
            (r#"{"type":"response.created","delta":"a"}"#, None, None),
            (r#"{"delta":"a"}"#, None, None),
        ] {
            let found = text(event.as_bytes()).map(|text| str::from_utf8(text).unwrap());
            assert_eq!(found, expected, "{event}");
            assert_eq!(with_text(event.as_bytes(), "b\n").as_deref(), now, "{event}");
        }
    }

    #[test]
    fn whole_answers_have_texts_and_an_end() {
        for (json, texts, reason) in [
            (
                r#"{"object":"response","status":"completed","output":[{"type":"reasoning"},{"content":[{"text":"a"},{"text":"b"}]}]}"#,
                &["\"a\"", "\"b\""][..],
                Some("\"completed\""),
            ),
            (
                r#"{"type":"message","content":[{"type":"text","text":"a"},{"type":"tool_use"}],"stop_reason":"end_turn"}"#,
                &["\"a\""],
                Some("\"end_turn\""),
            ),
            (r#"{"object":"list","data":[{"text":"a"}]}"#, &[], None),
        ] {
            let found: Vec<_> = texts_of(json.as_bytes()).collect();
            assert_eq!(found, texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
            assert_eq!(finish_reason(json.as_bytes()), reason.map(str::as_bytes), "{json}");
        }
    }
}
