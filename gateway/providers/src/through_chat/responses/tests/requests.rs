//! Requests become chats.

use super::KIND;
use crate::{
    ParamRules,
    through_chat::{self, ChatTarget},
};
use callgate_json::{Body, joined};
use serde_json::{Value, json};

/// The chat of a request, or the text of its refusal.
fn chat_of(body: &Value, drops: bool) -> Result<Value, String> {
    let rules = ParamRules { drop_unsupported: drops, ..ParamRules::default() };
    let to = ChatTarget { rules: &rules, stream: body["stream"] == true };
    let body = Body::parse(body.to_string().into()).unwrap();
    let chat = through_chat::request(KIND, &body, &to).map_err(|failure| {
        assert_eq!(failure.status, 400);
        format!("{}: {}", failure.param.as_deref().unwrap_or("-"), failure.message)
    })?;
    Ok(serde_json::from_slice(&joined(chat.render())).unwrap())
}

/// A request with these members beside a text.
fn with(members: &Value) -> Value {
    let mut body = json!({"model": "m", "input": "hi"});
    body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    body
}

#[track_caller]
fn params(members: Value, expected: Value) {
    let mut chat = chat_of(&with(&members), false).unwrap();
    let chat = chat.as_object_mut().unwrap();
    assert_eq!(chat.remove("messages"), Some(json!([{"role": "user", "content": "hi"}])));
    assert_eq!(Value::Object(chat.clone()), expected, "{members}");
}

#[track_caller]
fn messages(input: Value, expected: Value) {
    let chat = chat_of(&json!({"model": "m", "input": input}), false).unwrap();
    assert_eq!(chat["messages"], expected, "{input}");
}

#[test]
fn parameters_have_their_place_in_a_chat() {
    for (members, expected) in [
        (json!({}), json!({})),
        (
            json!({"stream": true, "stream_options": {"include_obfuscation": false}}),
            json!({"stream": true}),
        ),
        (
            json!({"max_output_tokens": 9, "temperature": 0}),
            json!({"max_tokens": 9, "temperature": 0}),
        ),
        (
            json!({"reasoning": {"effort": "high", "summary": "auto"}, "user": "u"}),
            json!({"reasoning_effort": "high", "user": "u"}),
        ),
        (
            json!({"store": true, "metadata": {"a": "b"}, "include": ["reasoning.encrypted_content"],
                "service_tier": "auto", "truncation": "disabled", "background": false}),
            json!({}),
        ),
        (
            json!({"text": {"format": {"type": "text"}, "verbosity": "low"}}),
            json!({"verbosity": "low"}),
        ),
        (
            json!({"text": {"format": {"type": "json_object"}}}),
            json!({"response_format": {"type": "json_object"}}),
        ),
        (
            json!({"text": {"format": {"type": "json_schema", "name": "n", "strict": true, "schema": {"type": "object"}}}}),
            json!({"response_format": {"type": "json_schema", "json_schema":
                {"name": "n", "schema": {"type": "object"}, "strict": true}}}),
        ),
        (
            json!({"tools": [{"type": "function", "name": "f", "description": "d", "strict": null, "parameters": {"type": "object"}}],
                "tool_choice": "required", "parallel_tool_calls": false}),
            json!({"tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
                "tool_choice": "required", "parallel_tool_calls": false}),
        ),
        (
            json!({"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "function", "name": "f"}}),
            json!({"tools": [{"type": "function", "function": {"name": "f"}}],
                "tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ),
        // Chats refuse both without tools.
        (json!({"tools": [], "tool_choice": "auto", "parallel_tool_calls": true}), json!({})),
    ] {
        params(members, expected);
    }
}

#[test]
fn items_become_messages() {
    let chat = chat_of(&with(&json!({"instructions": "be \"good\""})), false).unwrap();
    assert_eq!(chat["messages"][0], json!({"role": "system", "content": "be \"good\""}));
    messages(
        json!([
            {"role": "developer", "content": "d"},
            {"role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://h/i", "detail": "low"},
                {"type": "input_file", "filename": "f.pdf", "file_data": "data:application/pdf;base64,AA=="},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "I'll ", "annotations": []}, {"type": "output_text", "text": "look"}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "sun"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
            {"type": "function_call", "call_id": "c3", "name": "g", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c3", "output": ""},
            {"role": "assistant", "content": "one"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "two"}]},
        ]),
        json!([
            {"role": "system", "content": "d"},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://h/i", "detail": "low"}},
                {"type": "file", "file": {"filename": "f.pdf", "file_data": "data:application/pdf;base64,AA=="}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]},
            {"role": "assistant", "content": "I'll look", "reasoning_content": "hm", "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "sun"},
            {"role": "tool", "tool_call_id": "c2", "content": "rain"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c3", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c3", "content": ""},
            {"role": "assistant", "content": "one"},
            {"role": "assistant", "content": "two"},
        ]),
    );
}

#[test]
fn what_no_chat_has_is_refused_or_dropped() {
    for (members, named) in [
        (json!({"tools": [{"type": "web_search"}]}), "tools[0]"),
        (
            json!({"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "web_search"}}),
            "tool_choice",
        ),
        (json!({"background": true}), "background"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"input": [{"type": "web_search_call", "id": "w"}]}), "input[0]"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_hologram"}]}]}),
            "input[0].content[0]",
        ),
    ] {
        let refused = chat_of(&with(&members), false).unwrap_err();
        assert!(refused.starts_with(&format!("{named}: ")), "{refused}");
        assert!(refused.contains("drop_params"), "{refused}");
        assert!(chat_of(&with(&members), true).is_ok(), "{members}");
    }
}

#[test]
fn what_leans_on_something_stored_is_always_refused() {
    for (members, named) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"conversation": "conv_1"}), "conversation"),
        (json!({"prompt": {"id": "pmpt_1"}}), "prompt"),
        (json!({"input": [{"type": "item_reference", "id": "i"}]}), "input[0]"),
    ] {
        for drops in [false, true] {
            let refused = chat_of(&with(&members), drops).unwrap_err();
            assert!(refused.starts_with(&format!("{named}: ")), "{refused}");
            assert!(refused.contains("nothing is stored"), "{refused}");
        }
    }
}

#[test]
fn malformed_requests_are_refused_with_their_place() {
    for (members, expected) in [
        (json!({"input": null}), "input: missing"),
        (json!({"input": 1}), "input: `input` must be a string or an array of items"),
        (json!({"input": ["hi"]}), "input[0]: "),
        (json!({"input": [{}]}), "input[0].role: missing"),
        (json!({"input": [{"role": "tool", "content": "x"}]}), "input[0].role: "),
        (json!({"input": [{"role": "user"}]}), "input[0].content: missing"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
            "input[0].content[0]: ",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "u"}]}]}),
            "input[0].content[0]: ",
        ),
        (json!({"input": [{"type": "function_call", "name": "f"}]}), "input[0].call_id: missing"),
        (
            json!({"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]}),
            "input[0].output[0]: ",
        ),
        (json!({"instructions": 1}), "instructions: "),
        (json!({"tools": [{"name": "f"}]}), "tools[0].type: missing"),
        (json!({"text": {"format": {"type": "xml"}}}), "text.format.type: "),
        (json!({"reasoning": "high"}), "reasoning: "),
    ] {
        let refused = chat_of(&with(&members), true).unwrap_err();
        assert!(refused.starts_with(expected), "{expected}\n{refused}");
    }
}
