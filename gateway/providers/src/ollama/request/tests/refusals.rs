//! Refusals: each names the faulty parameter and the remedy, and repeats nothing of the
//! conversation.

use super::{super::chat_request, text};
use crate::{ParamRules, ollama::request::TranslateError};
use serde_json::{Map, Value, json};

#[test]
fn messages_of_another_shape() {
    for (body, param, says) in [
        (json!({}), Some("messages"), "missing required parameter"),
        (json!({"messages": null}), Some("messages"), "missing required parameter"),
        (json!({"messages": "hi"}), Some("messages"), "an array of messages, found a string"),
        (json!({"messages": [{"role": "user"}, "hi"]}), Some("messages[1]"), "found a string"),
        (json!([1]), Some("body"), "a JSON object, found an array"),
        (json!("x"), Some("body"), "found a string"),
        (json!({"messages": [{"content": "x"}]}), Some("messages[0].role"), "missing"),
        (json!({"messages": [{"role": 3}]}), Some("messages[0].role"), "found a number"),
        (
            json!({"messages": [{"role": "user", "content": 3}]}),
            Some("messages[0].content"),
            "found a number",
        ),
        (
            json!({"messages": [{"role": "user", "content": {"text": "x"}}]}),
            Some("messages[0].content"),
            "found an object",
        ),
        (
            json!({"messages": [{"role": "user", "content": ["x"]}]}),
            Some("messages[0].content"),
            "with a `type`",
        ),
        (
            json!({"messages": [{"role": "assistant", "reasoning_content": []}]}),
            Some("messages[0].reasoning_content"),
            "a string",
        ),
    ] {
        assert_refused(&body, param, says);
    }
}

#[test]
fn content_parts_ollama_cannot_take() {
    let parts = |part: Value| json!({"messages": [{"role": "user", "content": [part]}]});
    let image = |url: &str| parts(json!({"type": "image_url", "image_url": {"url": url}}));
    let url = Some("messages[0].content[0].image_url");
    for (body, param, says) in [
        (parts(json!({"type": "text"})), Some("messages[0].content[0].text"), "missing"),
        (
            parts(json!({"type": "text", "text": 1})),
            Some("messages[0].content[0].text"),
            "found a number",
        ),
        (
            parts(json!({"type": "input_audio", "input_audio": {}})),
            Some("messages[0].content[0]"),
            "`text` and `image_url` parts only",
        ),
        (
            parts(json!({"type": "file"})),
            Some("messages[0].content[0]"),
            "`text` and `image_url` parts only",
        ),
        (parts(json!({"type": "image_url"})), url, "missing"),
        (parts(json!({"type": "image_url", "image_url": 1})), url, "found a number"),
        (image("https://h/p.png"), url, "data:image/png;base64,"),
        (image("file:///etc/passwd"), url, "data:image/png;base64,"),
        (image("data:image/png;base64"), url, "without a comma"),
        (image("data:image/svg+xml,%3Csvg"), url, "not base64"),
        (image("data:image/png;base64,"), url, "no picture"),
    ] {
        assert_refused(&body, param, says);
    }
}

#[test]
fn tool_calls_of_another_shape() {
    let call = |arguments: Value| json!({"messages": [{"role": "user"}, {"role": "assistant", "tool_calls": [{"function": {"name": "w", "arguments": arguments}}]}]});
    let arguments = Some("messages[1].tool_calls[0].function.arguments");
    for (body, param, says) in [
        (call(json!("{bad")), arguments, "JSON object"),
        (call(json!("[1]")), arguments, "found an array"),
        (call(json!("{} {}")), arguments, "trailing"),
        (call(json!(5)), arguments, "found a number"),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": {}}]}),
            Some("messages[0].tool_calls"),
            "an array",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [1]}]}),
            Some("messages[0].tool_calls[0]"),
            "found a number",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{}]}]}),
            Some("messages[0].tool_calls[0].function"),
            "missing",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}),
            Some("messages[0].tool_calls[0].function.name"),
            "missing",
        ),
        (
            json!({"messages": [{"role": "tool", "tool_call_id": 1}]}),
            Some("messages[0].tool_call_id"),
            "a string",
        ),
        (
            json!({"messages": [{"role": "assistant", "tool_calls": [{"id": 1, "function": {"name": "f"}}]}]}),
            Some("messages[0].tool_calls[0].id"),
            "a string",
        ),
        (json!({"messages": [{"role": "tool", "name": 1}]}), Some("messages[0].name"), "a string"),
        (
            json!({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}),
            Some("messages[0].audio"),
            "does not take",
        ),
        (
            json!({"messages": [{"role": "user", "images": ["http://h/p.png"]}]}),
            Some("messages[0].images[0]"),
            "fetches no pictures",
        ),
        (
            json!({"messages": [], "parallel_tool_calls": false}),
            Some("parallel_tool_calls"),
            "drop_params",
        ),
    ] {
        assert_refused(&body, param, says);
    }
}

#[test]
fn parameters_ollama_cannot_honour() {
    for (body, param, says) in [
        (json!({"messages": [], "stream": 1}), Some("stream"), "a boolean, found a number"),
        (json!({"messages": [], "n": 2, "audio": {}}), Some("audio"), "support `audio`, `n`;"),
        (json!({"messages": [], "tool_choice": "required"}), Some("tool_choice"), "drop_params"),
        (
            json!({"messages": [], "tool_choice": {"type": "function", "function": {"name": "f"}}}),
            Some("tool_choice"),
            "drop_params",
        ),
        (json!({"messages": [], "foo": 1}), Some("foo"), "may be set in `options`"),
        (json!({"messages": [], "x".repeat(100): 1}), Some(&*"x".repeat(64)), "drop_params"),
        (json!({"messages": [], "store": true}), Some("store"), "drop_params"),
        (json!({"messages": [], "service_tier": "flex"}), Some("service_tier"), "drop_params"),
        (json!({"messages": [], "verbosity": "low"}), Some("verbosity"), "drop_params"),
        (json!({"messages": [], "modalities": ["audio"]}), Some("modalities"), "drop_params"),
        (
            json!({"messages": [], "web_search_options": {}}),
            Some("web_search_options"),
            "drop_params",
        ),
        (json!({"messages": [], "thinking": {"type": "enabled"}}), Some("thinking"), "drop_params"),
        (
            json!({"messages": [], "tools": [{"type": "web_search"}]}),
            Some("tools[].type"),
            "drop_params",
        ),
        (json!({"messages": [], "reasoning": "high"}), Some("reasoning"), "an object"),
        (json!({"messages": [], "reasoning": {"effort": 1}}), Some("reasoning.effort"), "a string"),
        (json!({"messages": [], "logit_bias": {"1": 2}}), Some("logit_bias"), "drop_params"),
        (
            json!({"messages": [], "function_call": {"name": "f"}}),
            Some("function_call"),
            "drop_params",
        ),
        (json!({"messages": [], "options": 5}), Some("options"), "an object"),
        (json!({"messages": [], "extra_body": 5}), Some("extra_body"), "an object"),
        (json!({"messages": [], "tools": "x"}), Some("tools"), "an array"),
        (json!({"messages": [], "functions": {}}), Some("functions"), "an array"),
        (json!({"messages": [], "stream": "yes"}), Some("stream"), "a boolean"),
        (json!({"messages": [], "reasoning_effort": 3}), Some("reasoning_effort"), "a string"),
        (
            json!({"messages": [], "response_format": "json"}),
            Some("response_format"),
            "with a `type`",
        ),
        (
            json!({"messages": [], "response_format": {"type": "xml"}}),
            Some("response_format.type"),
            "json_schema",
        ),
        (
            json!({"messages": [], "response_format": {"type": "json_schema"}}),
            Some("response_format.json_schema.schema"),
            "missing",
        ),
    ] {
        assert_refused(&body, param, says);
    }
}

#[test]
fn bodies_that_are_not_json_are_refused_without_repeating_them() {
    for body in [
        &b""[..],
        b"{",
        b"{\"messages\":[{\"role\":\"user\",\"content\":\"secret\"}]",
        b"{\"messages\":[]} trailing secret",
        b"{\"messages\":[{\"role\":\"secret\xff\"}]}",
        b"{\"messages\":[{\"role\":\"assistant\",\"content\":\"<think>secret\\ud800\"}]}",
    ] {
        let error = refusal(body);
        assert!(matches!(error, TranslateError::NotJson { .. }), "{error:?}");
        assert!(!error.message().contains("secret"), "{error}");
    }
}

#[track_caller]
fn assert_refused(body: &Value, param: Option<&str>, says: &str) {
    let error = refusal(body.to_string().as_bytes());
    assert_eq!(error.param(), param, "{body}: {error}");
    assert!(error.message().contains(says), "{body}: {error}");
}

fn refusal(body: &[u8]) -> TranslateError {
    match chat_request(body, "qwen", &Map::new(), &ParamRules::default()) {
        Err(error) => error,
        Ok(sent) => panic!("accepted {} as {}", text(body), text(&sent)),
    }
}
