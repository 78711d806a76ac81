//! Callbacks that add chunks and hold text back, without a chain: each is a function.

use super::*;
use serde_json::{Value, json};

type Hook<'a> = &'a dyn Fn(&mut ChunkPayload);

/// What the client gets of these chunks, by the hooks of these callbacks.
fn relayed(hooks: &[Hook<'_>], chunks: &[Value]) -> Vec<Value> {
    let (mut queue, mut sent) = (ChunkQueue::default(), Vec::new());
    chunks.iter().for_each(|chunk| queue.push(chunk.to_string()));
    while let Some(next) = queue.next(true) {
        let begin = if next.flushed { ChunkPayload::flushed } else { ChunkPayload::new };
        let (from, mut chunk) = (next.from, begin(0, next.json));
        let passed = hooks.iter().enumerate().skip(from).all(|(place, hook)| {
            if queue.holds_text() && !queue.bring_held_text(place, &mut chunk) {
                return false;
            }
            hook(&mut chunk);
            if chunk.is_n_to_m() {
                queue.take_from(place, &mut chunk);
            }
            !chunk.dropped
        });
        if passed {
            sent.push(serde_json::from_str(&chunk.json).unwrap());
        }
    }
    assert!(!queue.holds_text());
    sent
}

fn of(choice: u64, text: &str) -> Value {
    json!({"id": "c", "choices": [{"index": choice, "delta": {"content": text}}]})
}

fn finish(choice: u64) -> Value {
    json!({"id": "c", "choices": [{"index": choice, "delta": {}, "finish_reason": "stop"}]})
}

/// The text of each chunk, `|` for a finish reason, `t` for a tool call, with the choice if not 0.
fn told(sent: &[Value]) -> Vec<String> {
    let tell = |chunk: &Value| {
        let choice = &chunk["choices"][0];
        let index = choice["index"].as_u64().filter(|index| *index > 0);
        let mut text = index.map_or_else(String::new, |index| format!("{index}:"));
        text += choice["delta"]["content"].as_str().unwrap_or_default();
        if choice["delta"]["tool_calls"].is_array() {
            text.push('t');
        }
        if choice["finish_reason"].is_string() {
            text.push('|');
        }
        text
    };
    sent.iter().map(tell).collect()
}

/// Holds the word at the end back, and marks each text with the bytes that it saw before.
fn by_word(chunk: &mut ChunkPayload) {
    let text = chunk.text().to_owned();
    let rest = text.len() - text.rfind(' ').map_or(0, |at| at + 1);
    if !chunk.is_last() && rest > 0 {
        chunk.hold_back(rest).unwrap();
    }
}

fn loud(chunk: &mut ChunkPayload) {
    let text = chunk.text().to_uppercase();
    if !text.is_empty() {
        chunk.set_text(&text).unwrap();
    }
}

#[test]
fn added_chunks_follow_theirs_and_only_later_callbacks_get_them() {
    let twice: Hook<'_> = &|chunk| {
        chunk.emit_text("b").unwrap();
        chunk.emit_json(&of(0, "c").to_string()).unwrap();
    };
    let marks: Hook<'_> = &|chunk| {
        let text = format!("{}+", chunk.text());
        chunk.emit_text(&text).unwrap();
    };
    let dropping: Hook<'_> = &|chunk| {
        chunk.emit_text("in its place").unwrap();
        chunk.drop_chunk().unwrap();
    };
    for (hooks, expected) in [
        (&[twice][..], &["a", "b", "c", "|", "b", "c"][..]),
        (&[twice, &loud], &["A", "B", "C", "|", "B", "C"]),
        (&[&loud, twice], &["A", "b", "c", "|", "b", "c"]),
        (&[twice, marks], &["a", "a+", "b", "b+", "c", "c+", "|", "+", "b", "b+", "c", "c+"]),
        (&[dropping], &["in its place", "in its place"]),
        (&[dropping, &loud], &["IN ITS PLACE", "IN ITS PLACE"]),
    ] {
        assert_eq!(told(&relayed(hooks, &[of(0, "a"), finish(0)])), expected);
    }
}

#[test]
fn an_added_text_is_in_a_chunk_of_the_same_stream_and_choice() {
    let add: Hook<'_> = &|chunk| chunk.emit_text("é\"").unwrap();
    let chunk = json!({
        "id": "c", "model": "m", "usage": {"total_tokens": 3}, "service_tier": null,
        "choices": [{"index": 2, "delta": {"role": "assistant", "content": "a"},
                     "finish_reason": "stop"}],
    });
    let sent = relayed(&[add], std::slice::from_ref(&chunk));
    let choice = json!({"index": 2, "delta": {"content": "é\""}, "finish_reason": null});
    let added = json!({"id": "c", "model": "m", "service_tier": null, "choices": [choice]});
    assert_eq!(sent, [chunk, added]);
}

#[test]
fn held_text_comes_with_the_choices_next_text_and_never_gets_lost() {
    let tool = json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0}]}}]});
    let role = json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]});
    let empty = json!({"choices": [{"index": 0, "delta": {}}]});
    let usage = json!({"choices": [], "usage": {}});
    let both =
        json!({"choices": [{"index": 0, "delta": {"content": "z"}, "finish_reason": "stop"}]});
    for (chunks, expected) in [
        (vec![of(0, "a b"), of(0, "c d"), finish(0)], &["a ", "bc ", "d", "|"][..]),
        (vec![role, of(0, "ab"), of(0, "c"), finish(0)], &["", "abc", "|"]),
        (vec![of(0, "a b")], &["a ", "b"]),
        (vec![of(0, "a"), usage.clone()], &["", "a"]),
        (vec![of(0, "a"), empty, of(0, "b"), finish(0)], &["", "ab", "|"]),
        (vec![of(0, "a"), tool, of(0, "b"), finish(0)], &["a", "t", "b", "|"]),
        (vec![of(0, "a"), both], &["az|"]),
        (
            vec![of(0, "a"), of(1, "x"), of(0, "b c"), of(1, "y"), finish(1), finish(0)],
            &["ab ", "1:xy", "1:|", "c", "|"],
        ),
        (vec![of(0, "né é👩‍👧"), of(0, "漢"), finish(0), usage], &["né ", "é👩‍👧漢", "|", ""]),
    ] {
        assert_eq!(told(&relayed(&[&by_word], &chunks)), expected, "{chunks:?}");
        let upper: Vec<_> = expected.iter().map(|text| text.to_uppercase()).collect();
        let shown = |sent: Vec<Value>| told(&sent).join("").to_uppercase();
        assert_eq!(shown(relayed(&[&by_word, &loud], &chunks)), upper.join(""), "{chunks:?}");
        assert_eq!(shown(relayed(&[&by_word, &by_word], &chunks)), upper.join(""), "{chunks:?}");
    }
}

#[test]
fn text_is_cut_at_a_characters_beginning_and_seen_again() {
    let seen = std::cell::RefCell::new(Vec::new());
    let hook: Hook<'_> = &|chunk| {
        seen.borrow_mut().push((chunk.text().to_owned(), chunk.held(), chunk.is_last()));
        if !chunk.is_last() {
            chunk.hold_back(2).unwrap();
        }
    };
    let sent = relayed(&[hook], &[of(0, "ab👧"), of(0, "漢x"), finish(0)]);
    assert_eq!(told(&sent), ["ab", "👧", "漢x", "|"]);
    let expected = [("ab👧", 0, false), ("👧漢x", 4, false), ("漢x", 4, true), ("", 0, true)];
    assert_eq!(*seen.borrow(), expected.map(|(text, held, last)| (text.to_owned(), held, last)));
}

#[test]
fn limits_and_late_holds_are_refused() {
    use plugin_api::{EditError, limits};
    let mut chunk = ChunkPayload::new(0, of(0, "a").to_string());
    assert_eq!(chunk.hold_back(limits::HELD_BACK + 1), Err(EditError::TooLarge));
    assert_eq!(chunk.emit_json("[1]"), Err(EditError::NotJson));
    assert_eq!(chunk.emit_json("{"), Err(EditError::NotJson));
    assert_eq!(chunk.emit_text(&"x".repeat(limits::EMITTED)), Err(EditError::TooLarge));
    assert_eq!(chunk.emit_text(&"x".repeat(limits::EMITTED - 100)), Ok(()));
    assert_eq!(chunk.emit_text(&"x".repeat(100)), Err(EditError::TooLarge));
    let mut chunk = ChunkPayload::new(0, of(0, "a").to_string());
    for _ in 0..limits::EMITTED_CHUNKS {
        chunk.emit_text("").unwrap();
    }
    assert_eq!(chunk.emit_text(""), Err(EditError::TooLarge));
    let mut last = ChunkPayload::new(0, finish(0).to_string());
    assert_eq!(last.hold_back(1), Err(EditError::TooLate));
    let mut none = ChunkPayload::new(0, json!({"choices": []}).to_string());
    assert_eq!((none.emit_text("a"), none.choice()), (Err(EditError::WrongKind), None));
}

#[test]
fn each_choice_of_a_chunk_comes_as_a_chunk_of_its_own() {
    let choice = |index: u64, text: &str| of(index, text)["choices"][0].take();
    let two =
        |one: &str, other: &str| json!({"id": "c", "choices": [choice(0, one), choice(1, other)]});
    let mut counted = two("a", "b");
    counted["usage"] = json!({"total_tokens": 1});
    let sent = relayed(&[&loud], &[counted]);
    assert_eq!(told(&sent), ["A", "1:B"]);
    assert_eq!(sent[0]["usage"], Value::Null);
    assert_eq!((&sent[1]["usage"]["total_tokens"], &sent[1]["id"]), (&json!(1), &json!("c")));
    let adds: Hook<'_> = &|chunk| chunk.emit_json(&two("a", "b").to_string()).unwrap();
    assert_eq!(told(&relayed(&[adds, &loud], &[of(0, "x")])), ["X", "A", "1:B"]);
    // Held text stays before what follows in its own choice.
    let mut end = two(" z", "");
    end["choices"][1] = finish(1)["choices"][0].take();
    let sent = relayed(&[&by_word], &[two("one", "two"), end, finish(0)]);
    assert_eq!(told(&sent), ["one ", "1:two", "1:|", "z", "|"]);
}
