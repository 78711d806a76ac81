//! Malicious bodies: any value in any place, damaged and endlessly nested JSON.

use super::{super::chat_request, text};
use crate::ParamRules;
use serde_json::{Map, Value, json};

#[test]
fn no_value_in_any_place_panics_or_yields_anything_but_json() {
    let body = json!({
        "model": "m", "stream": true, "temperature": 1, "n": 1, "stop": "x", "options": {"a": 1}, "max_tokens": 5,
        "reasoning_effort": "low", "response_format": {"type": "json_schema", "json_schema": {"schema": {}}},
        "tools": [{}], "functions": [{}], "tool_choice": "auto", "extra_body": {"think": true},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:;base64,AA"}}]},
            {"role": "assistant", "content": "<think>a", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "function", "name": "f", "content": "r", "function_call": {"name": "f", "arguments": "{}"}, "tool_call_id": "1"},
        ],
    });
    let mut places = Vec::new();
    collect(&body, String::new(), &mut places);
    let hostile = [
        json!(null),
        json!(true),
        json!(-1.5e300),
        json!(""),
        json!("\u{0}😀"),
        json!([]),
        json!([[[]]]),
        json!({}),
        json!({"type": 1, "url": [], "function": 2}),
    ];
    for place in &places {
        for value in &hostile {
            let mut changed = body.clone();
            *changed.pointer_mut(place).expect("collected") = value.clone();
            check(changed.to_string().as_bytes());
        }
    }
    let text = body.to_string();
    for end in 0..text.len() {
        check(&text.as_bytes()[..end]);
        let mut damaged = text.clone().into_bytes();
        damaged[end] ^= 0x5a;
        check(&damaged);
    }
}

#[test]
fn deep_nesting_costs_no_stack() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    for body in [
        format!(r#"{{"messages":[],"tools":{deep}}}"#),
        format!(r#"{{"messages":{deep}}}"#),
        format!(r#"{{"messages":[{{"role":"user","content":{deep}}}]}}"#),
        format!(r#"{{"messages":[],"n":{deep},"options":{{"a":{deep}}}}}"#),
        format!(r#"{{"messages":[{{"role":"user","other":{deep}}}],"seed":{deep}}}"#),
        deep,
    ] {
        // Accepted or refused; it only has to return.
        let _ = chat_request(body.as_bytes(), "m", &Map::new(), &ParamRules::default());
    }
}

fn check(body: &[u8]) {
    let rules = ParamRules { drop_unsupported: true, ..ParamRules::default() };
    match chat_request(body, "m", &Map::new(), &rules) {
        Ok(sent) => {
            let parsed = serde_json::from_slice::<Value>(&sent);
            assert!(parsed.is_ok(), "{} became {}", text(body), text(&sent));
        }
        Err(error) => assert!(!error.message().is_empty()),
    }
}

fn collect(value: &Value, place: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                collect(value, format!("{place}/{key}"), places);
            }
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                collect(value, format!("{place}/{at}"), places);
            }
        }
        _ => {}
    }
    places.push(place);
}
