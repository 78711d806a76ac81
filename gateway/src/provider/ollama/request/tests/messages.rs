//! Messages: the form Ollama must receive them in.

use serde_json::{Value, json};

use super::sent;

#[test]
fn content_is_flat_text_with_pictures_beside_it() {
    let png = "iVBORw0KGgo=";
    let image = format!("data:image/png;base64,{png}");
    for (message, expected) in [
        (
            json!({"role": "user", "content": ""}),
            json!({"role": "user", "content": "", "images": []}),
        ),
        (json!({"role": "user"}), json!({"role": "user", "content": "", "images": []})),
        (
            json!({"role": "user", "content": "a", "name": "bob"}),
            json!({"role": "user", "content": "a", "images": []}),
        ),
        (
            json!({"role": "user", "content": "\"é\"\n\\u0041😀"}),
            json!({"role": "user", "content": "\"é\"\n\\u0041😀", "images": []}),
        ),
        (
            json!({"role": "developer", "content": "d"}),
            json!({"role": "system", "content": "d", "images": []}),
        ),
        (
            json!({"role": "user", "content": [{"type": "text", "text": "what"}, {"type": "text", "text": "is it"}, {"type": "image_url", "image_url": {"url": image}}]}),
            json!({"role": "user", "content": "whatis it", "images": [png]}),
        ),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": image}]}),
            json!({"role": "user", "content": "", "images": [png]}),
        ),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "DATA:image/gif;x=1;Base64,R0l"}}]}),
            json!({"role": "user", "content": "", "images": ["R0l"]}),
        ),
        (
            json!({"role": "user", "content": []}),
            json!({"role": "user", "content": "", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}),
            json!({"role": "assistant", "content": "no", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": "b", "reasoning_content": "rr"}),
            json!({"role": "assistant", "thinking": "rr", "content": "b", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": " <think>r</think>b"}),
            json!({"role": "assistant", "thinking": "r", "content": "b", "images": []}),
        ),
        (
            json!({"role": "user", "content": "<think>r</think>b"}),
            json!({"role": "user", "content": "<think>r</think>b", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": "<b>r</b>"}),
            json!({"role": "assistant", "content": "<b>r</b>", "images": []}),
        ),
    ] {
        assert_sent(&message, &expected);
    }
}

#[test]
fn tool_calls_and_results_keep_what_ollama_reads() {
    for (message, expected) in [
        (
            json!({"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "w", "arguments": "{\"city\":\"Paris\"}"}}]}),
            json!({"role": "assistant", "content": "", "images": [], "tool_calls": [{"function": {"name": "w", "arguments": {"city": "Paris"}}}]}),
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": ""}}, {"function": {"name": "b"}}, {"function": {"name": "c", "arguments": " null "}}, {"function": {"name": "d", "arguments": {"x": 1}}}]}),
            json!({"role": "assistant", "content": "", "images": [], "tool_calls": [
                {"function": {"name": "a", "arguments": {}}}, {"function": {"name": "b", "arguments": {}}},
                {"function": {"name": "c", "arguments": {}}}, {"function": {"name": "d", "arguments": {"x": 1}}}]}),
        ),
        (
            json!({"role": "assistant", "content": "x", "tool_calls": []}),
            json!({"role": "assistant", "content": "x", "images": []}),
        ),
        (
            json!({"role": "tool", "tool_call_id": "call_1", "content": "sunny"}),
            json!({"role": "tool", "content": "sunny", "images": [], "tool_call_id": "call_1"}),
        ),
        (
            json!({"role": "assistant", "content": null, "function_call": {"name": "w", "arguments": "{}"}}),
            json!({"role": "assistant", "content": "", "images": [], "tool_calls": [{"function": {"name": "w", "arguments": {}}}]}),
        ),
        (
            json!({"role": "function", "name": "w", "content": "sunny"}),
            json!({"role": "tool", "content": "sunny", "images": [], "tool_name": "w"}),
        ),
    ] {
        assert_sent(&message, &expected);
    }
}

#[test]
fn source_spelling_survives_and_the_last_of_repeated_keys_counts() {
    for (body, content) in [
        (r#"{"messages":[{"role":"user","content":"\u00e9\/\ud83d\ude00"}]}"#, "é/😀"),
        (r#"{"messages":[{"role":"assistant","content":"\u003cthink>r\u003c/think>b"}]}"#, "b"),
        (r#"{"messages":[{"role":"user","content":"a","content":"b"}]}"#, "b"),
        (r#"{"messages":[],"messages":[{"role":"user","content":"b"}]}"#, "b"),
        (r#"{"\u006dessages":[{"r\u006fle":"us\u0065r","content":"b"}]}"#, "b"),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":"data:image\/png;base64,AA\/A"}]}]}"#,
            "",
        ),
    ] {
        assert_eq!(sent("m", body)["messages"][0]["content"], content, "{body}");
    }
}

#[track_caller]
fn assert_sent(message: &Value, expected: &Value) {
    let body = json!({"model": "x", "messages": [message]}).to_string();
    assert_eq!(sent("qwen", &body)["messages"], json!([expected]), "{message}");
}
