//! Messages as callbacks read and edit them.

use super::*;
use callgate_failure::Failure;
use serde_json::Value;

fn cut(array: &str) -> Result<Messages, Unreadable> {
    Messages::cut(&Bytes::copy_from_slice(array.as_bytes()))
}

fn messages(array: &str) -> Messages {
    cut(array).unwrap()
}

const MIXED: &str = r#"[
    {"role": "system", "content": "plain é"},
    {"role":"user","content":"a\nb \"q\""},
    {"role":"user","content":[{"type":"text","text":"one"},{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text","text":"two"}]},
    {"role":"assistant","content":null,"tool_calls":[{"id":"c1"}]},
    {"rol\u0065":"us\u0065r","content":["three",{"type":"input_text","text":"four"},{"text":null}]}, {}
]"#;

#[test]
fn reads_roles_and_texts_of_every_shape() {
    let messages = messages(MIXED);
    let read: Vec<_> = (0..messages.len())
        .map(|i| (messages.role(i).unwrap(), messages.text(i).unwrap()))
        .collect();
    assert_eq!(
        read,
        [
            ("system", "plain é"),
            ("user", "a\nb \"q\""),
            ("user", "one\ntwo"),
            ("assistant", ""),
            ("user", "three\nfour"),
            ("", "")
        ]
    );
    assert_eq!(messages.text(6), None);
    assert_eq!(messages.rendered(), None);
}

#[test]
fn what_does_not_read_is_an_error_with_its_place() {
    for (message, path) in [
        (r#"{"role":"user","role":"user","content":"x"}"#, "messages[1].role"),
        (r#"{"role":5,"content":"x"}"#, "messages[1].role"),
        (r#"{"role":"user","content":7}"#, "messages[1].content"),
        (r#"{"role":"user","content":{"text":"x"}}"#, "messages[1].content"),
        (r#"{"content":[{"text":"a","text":"b"}]}"#, "messages[1].content[0].text"),
        (r#"{"content":[{"text":"a"},{"text":["b"]}]}"#, "messages[1].content[1].text"),
        (r#"{"content":[7]}"#, "messages[1].content[0]"),
        (r#"{"content":"a","Content":"b"}"#, "messages[1].Content"),
        ("5", "messages[1]"),
        ("[]", "messages[1]"),
    ] {
        let error = cut(&format!("[{{}},{message}]")).unwrap_err();
        let failure = Failure::from(&error);
        assert_eq!((failure.status, failure.param.as_deref()), (400, Some(path)), "{message}");
        assert!(failure.message.contains(path), "{}", failure.message);
    }
}

#[test]
fn an_edit_leaves_neighbours_and_other_parts_alone() {
    let mut edited = messages(MIXED);
    edited.set_text(2, "new").unwrap();
    edited.set_text(3, "said").unwrap();
    edited.set_text(5, "there").unwrap();
    assert_eq!(edited.set_text(6, "x"), Err(EditError::NotFound));
    assert_eq!(
        edited.json(2).unwrap(),
        r#"{"role":"user","content":[{"type":"text","text":"new"},{"type":"image_url","image_url":{"url":"data:x"}}]}"#
    );
    assert_eq!(
        edited.json(3).unwrap(),
        r#"{"role":"assistant","content":"said","tool_calls":[{"id":"c1"}]}"#
    );
    assert_eq!(edited.json(5).unwrap(), r#"{"content":"there"}"#);
    let array = edited.rendered().unwrap();
    assert!(array.starts_with(br#"[{"role": "system", "content": "plain"#));
}

#[test]
fn a_text_is_put_where_it_was_and_nothing_else_changes() {
    for (message, expected) in [
        (r#"{"content":"a","x":1e999, "y":0.10}"#, r#"{"content":"N\"","x":1e999, "y":0.10}"#),
        (r#"{"x":1e999 } "#, r#"{"x":1e999 ,"content":"N\""}"#),
        (r#"{"content" : null}"#, r#"{"content" : "N\""}"#),
        (r#"{"content":[]}"#, r#"{"content":[{"type":"text","text":"N\""}]}"#),
        (r#"{"content":[ {"x":1}]}"#, r#"{"content":[{"type":"text","text":"N\""}, {"x":1}]}"#),
        (
            r#"{"content":["a" , "b",{"x":1e999}, {"text":"c"} ]}"#,
            r#"{"content":["N\"",{"x":1e999} ]}"#,
        ),
        (
            r#"{"content":[{"x":1},{"text" : "a", "k":2},{"text":"b"}]}"#,
            r#"{"content":[{"x":1},{"text" : "N\"", "k":2}]}"#,
        ),
    ] {
        let mut edited = messages(&format!("[{message}]"));
        edited.set_text(0, "N\"").unwrap();
        assert_eq!(edited.json(0).unwrap(), expected, "{message}");
        assert_eq!(edited.text(0), Some("N\""));
    }
}

#[test]
fn texts_at_random_read_as_a_tree_has_them() {
    let mut random = fastrand::Rng::with_seed(5);
    let texts = ["a", "é", "q\"", "\\", "\n", "[{"];
    for _ in 0..2000 {
        let parts: Vec<Value> = (0..random.usize(..4))
            .map(|_| match random.usize(..3) {
                0 => serde_json::json!({"type": "text", "text": texts[random.usize(..6)]}),
                1 => serde_json::json!({"type": "image_url", "image_url": {"url": "text"}}),
                _ => Value::from(texts[random.usize(..6)]),
            })
            .collect();
        let of = |part: &Value| Some(part.as_str().or(part["text"].as_str())?.to_owned());
        let expected: Vec<String> = parts.iter().filter_map(of).collect();
        let message = serde_json::json!({"role": "user", "content": parts, "n": 1});
        let mut edited = messages(&format!("[{message}]"));
        assert_eq!(edited.text(0).unwrap(), expected.join("\n"));
        edited.set_text(0, "new").unwrap();
        let value: Value = serde_json::from_str(edited.json(0).unwrap()).unwrap();
        assert_eq!(edited.text(0).unwrap(), "new");
        assert_eq!(value["n"], 1);
    }
}

#[test]
fn inserts_removes_and_replaces() {
    let mut edited = messages(r#"[{"role":"user","content":"a"}]"#);
    edited.insert(1, "user", "b").unwrap();
    edited.insert(0, "system", "s\"").unwrap();
    edited.set_json(1, r#"{"role":"user","content":"A"}"#).unwrap();
    edited.remove(2).unwrap();
    assert_eq!(edited.remove(2), Err(EditError::NotFound));
    assert_eq!(edited.insert(9, "user", ""), Err(EditError::NotFound));
    for json in ["[]", "{", r#"{"role":"a","role":"b"}"#, r#"{"content":7}"#] {
        assert_eq!(edited.set_json(0, json), Err(EditError::NotJson), "{json}");
    }
    assert_eq!(
        edited.rendered().unwrap(),
        r#"[{"role":"system","content":"s\""},{"role":"user","content":"A"}]"#
    );
    // A message stands two levels below the body's.
    let deep = |levels: usize| {
        format!(r#"{{"role":"user","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
    };
    assert_eq!(edited.set_json(0, &deep(126)), Err(EditError::TooLarge));
    edited.set_json(0, &deep(125)).unwrap();
}

#[test]
fn what_is_no_array_has_no_messages_and_too_many_are_refused() {
    for text in ["\"hi\"", "{\"a\":1}", "null", "7", ""] {
        assert_eq!(messages(text).len(), 0);
    }
    let many = |count: usize| format!("[{}]", vec!["{}"; count].join(","));
    assert_eq!(messages(&many(MAX_MESSAGES)).len(), MAX_MESSAGES);
    let failure = Failure::from(&cut(&many(MAX_MESSAGES + 1)).unwrap_err());
    assert_eq!(failure.param.as_deref(), Some("messages"));
}
