//! Messages in the form that Ollama must get.

use super::sent;
use serde_json::{Value, json};

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
            json!({"role": "assistant", "content": "b", "reasoning_content": null, "reasoning": "rr"}),
            json!({"role": "assistant", "thinking": "rr", "content": "b", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": "b", "reasoning_content": "", "thinking": "rr"}),
            json!({"role": "assistant", "thinking": "rr", "content": "b", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": null, "refusal": "I cannot"}),
            json!({"role": "assistant", "content": "I cannot", "images": []}),
        ),
        (
            json!({"role": "assistant", "content": "b", "refusal": "no"}),
            json!({"role": "assistant", "content": "b", "images": []}),
        ),
        (
            json!({"role": "user", "content": "what is it", "images": ["QUJD", "data:image/png;base64,QQ"]}),
            json!({"role": "user", "content": "what is it", "images": ["QUJD", "QQ"]}),
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
            json!({"role": "assistant", "content": "", "images": [], "tool_calls": [{"id": "call_1", "function": {"index": 0, "name": "w", "arguments": {"city": "Paris"}}}]}),
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": ""}}, {"function": {"name": "b"}}, {"function": {"name": "c", "arguments": " null "}}, {"function": {"name": "d", "arguments": {"x": 1}}}]}),
            json!({"role": "assistant", "content": "", "images": [], "tool_calls": [
                {"function": {"index": 0, "name": "a", "arguments": {}}}, {"function": {"index": 1, "name": "b", "arguments": {}}},
                {"function": {"index": 2, "name": "c", "arguments": {}}}, {"function": {"index": 3, "name": "d", "arguments": {"x": 1}}}]}),
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
            json!({"role": "assistant", "content": "", "images": [], "tool_calls": [{"function": {"index": 0, "name": "w", "arguments": {}}}]}),
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
fn results_stay_with_their_calls_whatever_their_order() {
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    let body = json!({"messages": [
        {"role": "assistant", "content": null, "tool_calls": [call("c1", "time"), call("c2", "weather")]},
        {"role": "tool", "tool_call_id": "c2", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c1", "content": "noon"},
        {"role": "assistant", "tool_calls": [call("c\\u0031", "news")]},
        {"role": "tool", "tool_call_id": "c1", "content": "none"},
        {"role": "tool", "tool_call_id": "unheard of", "content": ""},
        {"role": "tool", "tool_call_id": "c2", "name": "its own", "content": ""},
    ]});
    // The same id in another spelling.
    let body = body.to_string().replace("\\\\u0031", "\\u0031");
    let sent = sent("qwen", &body);
    let calls = &sent["messages"][0]["tool_calls"];
    assert_eq!(
        calls[0],
        json!({"id": "c1", "function": {"index": 0, "name": "time", "arguments": {}}})
    );
    assert_eq!(
        calls[1],
        json!({"id": "c2", "function": {"index": 1, "name": "weather", "arguments": {}}})
    );
    let tied = |at: usize| {
        let message = &sent["messages"][at];
        (message["tool_call_id"].clone(), message["tool_name"].clone())
    };
    for (at, id, name) in [
        (1, "c2", json!("weather")),
        (2, "c1", json!("time")),
        (4, "c1", json!("news")),
        (5, "unheard of", json!(null)),
        (6, "c2", json!("its own")),
    ] {
        assert_eq!(tied(at), (json!(id), name), "message {at}");
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
