//! Unusual responses as hooks see them, and hooks' edits.

use super::*;
use bytes::Bytes;
use plugin_api::abi::serve::{ChunkAccess, ReplyAccess};

#[test]
fn text_and_end_of_what_is_unusual_are_read_too() {
    for (json, text, reason) in [
        (
            r#"{"choices":[{"delta":{"content":"x","content":"a"},"finish_reason":"stop"}]}"#,
            "a",
            Some("stop"),
        ),
        (r#"{"choices":[{"delta":{"content":"x"},"delta":{"content":"a"}}]}"#, "a", None),
        (r#"{"choices":5,"choices":[{"index":0,"delta":{"content":"a"}}]}"#, "a", None),
        (
            r#"{"choices":[{"delta":{"content":"a"},"message":{"content":"ba"},"finish_reason":"stop"}]}"#,
            "a",
            Some("stop"),
        ),
        (
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"text":"b"}]},"finish_reason":"stop"}]}"#,
            "ab",
            Some("stop"),
        ),
        (
            r#"{"choices":[{"delta":{"content":5},"finish_reason":"stop"},{"index":1,"delta":{"content":"z"}}]}"#,
            "",
            Some("stop"),
        ),
        (r#"{"choices":[{"delta":{"content":"a"},"finish_reason":5}]}"#, "a", None),
    ] {
        let mut streamed = StreamedText::default();
        streamed.add(json.as_bytes());
        assert_eq!((&*streamed.text, streamed.finish_reason.as_deref()), (text, reason), "{json}");
    }
}

#[test]
fn a_text_is_put_into_a_chunk_in_place_of_all_that_was_there() {
    for (json, expected) in [
        (r#"{"choices":[{"delta":{}}]}"#, Some(r#"{"choices":[{"delta":{"content":"a\"b"}}]}"#)),
        (
            r#"{ "id" : 1.50, "choices" : [ {"index":0,"delta":{"role":"r","content":"x"},"y":[1 ]} , {"delta":7}] }"#,
            Some(
                r#"{"id":1.50,"choices":[ {"index":0,"delta":{"role":"r","content":"a\"b"},"y":[1 ]} , {"delta":7}]}"#,
            ),
        ),
        (
            r#"{"choices":[{"delta":{"content":"x"}}],"choices":[{"delta":{"content":"y"},"delta":{"content":"x","\u0063ontent":"z"}}]}"#,
            Some(r#"{"choices":[{"delta":{"content":"a\"b"}}]}"#),
        ),
        (r#"{"choices":[{"delta":null}]}"#, None),
        (r#"{"choices":[]}"#, None),
        (r#"{"choices":{"delta":{}}}"#, None),
        ("{}", None),
    ] {
        let mut chunk = ChunkPayload::new(0, json.to_owned());
        let edited = chunk.set_text("a\"b");
        assert_eq!(edited.is_ok().then_some(chunk.json()), expected, "{json}");
        assert_eq!(edited.is_ok(), chunk.text() == "a\"b", "{json}");
    }
}

#[test]
fn only_objects_are_taken_for_chunks_replies_and_completions() {
    for (json, is_one, completes) in [
        (r#" {"choices":[{"message":{}}]} "#, true, true),
        (r#"{"choices":[{"message":null}]}"#, true, false),
        (r#"{"choices":[]}"#, true, false),
        ("[1]", false, false),
        ("{\"a\":}", false, false),
        ("{} {}", false, false),
        ("", false, false),
    ] {
        let mut chunk = ChunkPayload::new(0, "{}".to_owned());
        assert_eq!(
            (chunk.set_json(json).is_ok(), is_completion(json)),
            (is_one, completes),
            "{json}"
        );
    }
}

#[test]
fn edits_of_large_chunks_and_replies_hold_a_few_times_their_length() {
    let json = format!("{{\"x\":[{}1],\"choices\":[{{\"delta\":{{}}}}]}}", "[],".repeat(100_000));
    let held = |work: &mut dyn FnMut()| allocation_counter::measure(work).bytes_max as usize;
    let mut chunk = ChunkPayload::new(0, json.clone());
    assert!(held(&mut || chunk.set_text("a").unwrap()) < 3 * json.len());
    assert!(held(&mut || chunk.set_json(&json).unwrap()) < 2 * json.len());
    let said = StreamedText::default();
    let mut reply = EndPayload::new(200, Some(Bytes::from_static(b"{}")), &said);
    assert!(held(&mut || reply.set_json(&json).unwrap()) < 2 * json.len());
}

#[test]
fn text_behind_a_gap_is_left_out_and_counted() {
    let mut streamed = StreamedText::default();
    for text in ["abc", "\u{e9}\u{e9}", "d"] {
        let json = format!("{{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}");
        streamed.add_within(json.as_bytes(), 6);
    }
    assert_eq!((&*streamed.text, streamed.left_out), ("abc\u{e9}", 3));
    let (mut first, mut next) = (StreamedText::default(), StreamedText::default());
    first.add_within(br#"{"choices":[{"delta":{"content":"abc"}}]}"#, 6);
    let end = r#"{"choices":[{"delta":{"content":"ééd"},"finish_reason":"stop"}]}"#;
    next.add_within(end.as_bytes(), 5);
    first.append(&next, 6);
    assert_eq!(first, StreamedText { finish_reason: Some("stop".to_owned()), ..streamed });
}

#[test]
fn why_a_reply_ended_is_read_without_its_text() {
    let streamed = StreamedText::default();
    for length in [10, 1_000_000] {
        let json = |reason: &str| {
            let text = "x".repeat(length);
            format!(
                r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"{reason}"}}]}}"#
            )
        };
        let mut reply = EndPayload::new(200, Some(json("stop").into()), &streamed);
        let memory = allocation_counter::measure(|| {
            assert_eq!(reply.finish_reason(), Some("stop"));
        });
        assert!(memory.bytes_max < 1000, "{memory:?}");
        assert_eq!(reply.text().len(), length);
        reply.set_json(&json("length")).unwrap();
        assert_eq!((reply.finish_reason(), reply.text().len()), (Some("length"), length));
    }
}

#[test]
fn a_text_is_held_once_and_one_without_escapes_not_at_all() {
    let streamed = StreamedText::default();
    let reply = |text: &str| {
        format!(r#"{{"choices":[{{"message":{{"content":"{text}"}},"finish_reason":"stop"}}]}}"#)
    };
    let plain = "x".repeat(1_000_000);
    for (text, most) in [
        (plain.clone(), 1000),
        (format!("{plain}\\n"), plain.len() + 1000),
        ("\\u0041".repeat(170_000), 6 * 170_000 + 1000),
    ] {
        let reply = EndPayload::new(200, Some(reply(&text).into()), &streamed);
        let memory = allocation_counter::measure(|| {
            assert!(reply.text().len() >= 170_000);
        });
        assert!(memory.bytes_max <= most as u64, "{memory:?}");
        let expected: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
        assert!(reply.text() == expected);
    }
    let many = vec![r#"{"message":{"content":"a"}}"#; 10_000].join(",");
    let reply = EndPayload::new(200, Some(format!("{{\"choices\":[{many}]}}").into()), &streamed);
    let memory = allocation_counter::measure(|| assert_eq!(reply.text().len(), 10_000));
    assert!(memory.count_total < 50 && memory.bytes_max < 50_000, "{memory:?}");
}
