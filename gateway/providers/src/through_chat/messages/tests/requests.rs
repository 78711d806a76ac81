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

#[test]
fn the_entrys_rules_for_parameters_hold() {
    let rules = ParamRules {
        leave_out: vec!["mcp_servers".to_owned(), "thinking".to_owned()],
        allowed: vec!["container".to_owned()],
        ..ParamRules::default()
    };
    let to = ChatTarget { rules: &rules, stream: false };
    let body = with(&json!({"mcp_servers": [1], "container": "c",
        "thinking": {"type": "enabled", "budget_tokens": 9000}}));
    let body = Body::parse(body.to_string().into()).unwrap();
    let chat = joined(through_chat::request(KIND, &body, &to).unwrap().render());
    let chat: Value = serde_json::from_slice(&chat).unwrap();
    assert_eq!(chat["container"], "c");
    assert_eq!((chat.get("mcp_servers"), chat.get("reasoning_effort")), (None, None));
}

/// A request with these members beside one message.
fn with(members: &Value) -> Value {
    let mut body = json!({"model": "m", "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}]});
    let members = members.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(members);
    body
}

#[track_caller]
fn params(members: Value, expected: Value) {
    let mut chat = chat_of(&with(&members), false).unwrap();
    let chat = chat.as_object_mut().unwrap();
    assert_eq!(chat.remove("messages"), Some(json!([{"role": "user", "content": "hi"}])));
    assert_eq!(chat.remove("max_tokens"), Some(json!(9)));
    assert_eq!(Value::Object(chat.clone()), expected, "{members}");
}

#[track_caller]
fn messages(turns: Value, expected: Value) {
    let chat = chat_of(&json!({"model": "m", "max_tokens": 9, "messages": turns}), false).unwrap();
    assert_eq!(chat["messages"], expected, "{turns}");
}

#[test]
fn parameters_have_their_place_in_a_chat() {
    for (members, expected) in [
        (json!({}), json!({})),
        (json!({"stream": true}), json!({"stream": true})),
        (
            json!({"temperature": 0.5, "top_p": 1, "top_k": 5, "stop_sequences": ["A", "B"]}),
            json!({"temperature": 0.5, "top_p": 1, "top_k": 5, "stop": ["A", "B"]}),
        ),
        (json!({"stop_sequences": [], "system": null, "tools": []}), json!({})),
        (json!({"metadata": {"user_id": "user_1"}}), json!({"user": "user_1"})),
        (json!({"metadata": {"user_id": "u".repeat(90)}}), json!({"user": "u".repeat(64)})),
        (json!({"metadata": {"user_id": null}}), json!({})),
        (
            json!({"service_tier": "auto", "context_management": {"edits": []}, "speed": "fast"}),
            json!({}),
        ),
        (json!({"mcp_servers": [], "container": null}), json!({})),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            json!({"reasoning_effort": "low"}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 8000}}),
            json!({"reasoning_effort": "medium"}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 31999}}),
            json!({"reasoning_effort": "high"}),
        ),
        (json!({"thinking": {"type": "disabled"}}), json!({})),
        (json!({"thinking": {"type": "adaptive"}}), json!({})),
        (
            json!({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
            json!({"reasoning_effort": "high"}),
        ),
        (
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}),
            json!({"response_format": {"type": "json_schema", "json_schema":
                {"name": "answer", "strict": true, "schema": {"type": "object"}}}}),
        ),
        (
            json!({"num_ctx": 7, "extra_body": {"a": 1}}),
            json!({"num_ctx": 7, "extra_body": {"a": 1}}),
        ),
    ] {
        params(members, expected);
    }
}

#[test]
fn tools_and_the_choice_among_them() {
    let tool = json!({"name": "f", "description": "d", "input_schema": {"type": "object"},
        "cache_control": {"type": "ephemeral"}});
    let function = json!({"type": "function", "function":
        {"name": "f", "description": "d", "parameters": {"type": "object"}}});
    for (choice, expected) in [
        (json!(null), json!({})),
        (json!({"type": "auto"}), json!({"tool_choice": "auto"})),
        (json!({"type": "any"}), json!({"tool_choice": "required"})),
        (json!({"type": "none"}), json!({"tool_choice": "none"})),
        (
            json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true}),
            json!({"tool_choice": {"type": "function", "function": {"name": "f"}},
                "parallel_tool_calls": false}),
        ),
    ] {
        let mut expected = expected;
        expected["tools"] = json!([function]);
        params(json!({"tools": [tool], "tool_choice": choice}), expected);
    }
    // Without tools there is nothing to choose.
    params(json!({"tool_choice": {"type": "auto"}}), json!({}));
    params(
        json!({"tools": [{"type": "custom", "name": "g", "strict": true}]}),
        json!({"tools": [{"type": "function", "function": {"name": "g", "strict": true}}]}),
    );
}

#[test]
fn the_system_prompt_comes_first() {
    for (system, expected) in [
        (json!("be \"good\"\n"), Some("be \"good\"\n")),
        (
            json!([{"type": "text", "text": "a\t", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": ""}, {"type": "text", "text": "b"}]),
            Some("a\t\n\nb"),
        ),
        (json!([]), None),
        (json!(""), None),
    ] {
        let chat = chat_of(&with(&json!({"system": system})), false).unwrap();
        let first = expected.map(|text| json!({"role": "system", "content": text}));
        let all: Vec<_> =
            first.into_iter().chain([json!({"role": "user", "content": "hi"})]).collect();
        assert_eq!(chat["messages"], json!(all));
    }
}

#[test]
fn content_becomes_parts() {
    messages(
        json!([{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
            {"type": "image", "source": {"type": "url", "url": "https://h/p.png"}},
            {"type": "document", "title": "t.pdf",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "BB=="}},
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "in"}]}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "found"}]},
        ]}]),
        json!([{"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "image_url", "image_url": {"url": "https://h/p.png"}},
            {"type": "file", "file": {"filename": "t.pdf", "file_data": "data:application/pdf;base64,BB=="}},
            {"type": "text", "text": "plain"},
            {"type": "text", "text": "in"},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "text", "text": "found"},
        ]}]),
    );
    messages(
        json!([{"role": "user", "content": [{"type": "text", "text": "one"}]},
            {"role": "user", "content": []}]),
        json!([{"role": "user", "content": "one"}]),
    );
}

#[test]
fn tools_are_called_and_answer_in_messages_of_their_own() {
    messages(
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm \"two\"", "signature": "sig"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I'll "}, {"type": "text", "text": "look"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": "\"q\""}},
                {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [
                    {"type": "text", "text": "sun"}, {"type": "text", "text": "wind"},
                    {"type": "image", "source": {"type": "url", "url": "https://h/i"}}]},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": "no"},
                {"type": "text", "text": "go on"},
            ]},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t3", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t3"}]},
            {"role": "assistant", "content": "so"},
        ]),
        json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": "I'll look", "reasoning_content": "hm \"two\"",
                "tool_calls": [
                    {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":\"\\\"q\\\"\"}"}},
                    {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "toolu_1", "content": "sun\nwind"},
            {"role": "tool", "tool_call_id": "toolu_2", "content": "no"},
            {"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": "https://h/i"}},
                {"type": "text", "text": "go on"}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "t3", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t3", "content": ""},
            {"role": "assistant", "content": "so"},
        ]),
    );
}

#[test]
fn names_are_the_apis_but_for_those_of_a_tools_input() {
    let turn = |block: &str| {
        let block = format!(r#"{{"role":"assistant","content":[{block}]}}"#);
        let body = format!(r#"{{"model":"m","messages":[{block}]}}"#);
        let (body, rules) = (Body::parse(body.into()).unwrap(), ParamRules::default());
        let chat = through_chat::request(KIND, &body, &ChatTarget { rules: &rules, stream: false });
        chat.map(|_| ()).map_err(|failure| failure.param.clone().unwrap())
    };
    let tool = |input: &str| {
        turn(&format!(r#"{{"type":"tool_use","id":"t","name":"f","input":{input}}}"#))
    };
    assert_eq!(tool(r#"{"Content":1,"content":2,"Model":{"Type":1}}"#), Ok(()));
    let repeated = "messages[0].content[0].input.a".to_owned();
    assert_eq!(tool(r#"{"a":1,"a":2}"#), Err(repeated));
    let other_case = "messages[0].content[0].Text".to_owned();
    assert_eq!(turn(r#"{"type":"text","text":"a","Text":"b"}"#), Err(other_case));
}

#[test]
fn what_no_chat_has_is_refused_or_dropped() {
    for (members, named) in [
        (json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}), "tools[0]"),
        (json!({"mcp_servers": [{"url": "u"}]}), "mcp_servers"),
        (json!({"container": "c"}), "container"),
        (
            json!({"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"type": "container_upload"}]}]}),
            "messages[0].content[0]",
        ),
    ] {
        let refused = chat_of(&with(&members), false).unwrap_err();
        assert!(refused.starts_with(&format!("{named}: ")), "{refused}");
        assert!(refused.contains("drop_params"), "{refused}");
        let mut dropped = with(&members);
        assert!(chat_of(&dropped, true).is_ok(), "{members}");
        dropped["drop_params"] = json!(true);
        assert!(chat_of(&dropped, false).is_ok(), "{members}");
    }
}

#[test]
fn malformed_requests_are_refused_with_their_place() {
    let turns = |turns: Value| json!({"messages": turns});
    for (members, expected) in [
        (json!({"messages": null}), "messages: missing"),
        (
            json!({"messages": "hi"}),
            "messages: `messages` must be an array of messages, found a string",
        ),
        (turns(json!(["hi"])), "messages[0]: "),
        (turns(json!([{"content": "hi"}])), "messages[0].role: missing"),
        (turns(json!([{"role": "tool", "content": "hi"}])), "messages[0].role: "),
        (turns(json!([{"role": "user"}])), "messages[0].content: missing"),
        (turns(json!([{"role": "user", "content": 1}])), "messages[0].content: "),
        (turns(json!([{"role": "user", "content": ["hi"]}])), "messages[0].content[0]: "),
        (turns(json!([{"role": "user", "content": [{}]}])), "messages[0].content[0].type: missing"),
        (
            turns(json!([{"role": "user", "content": [{"type": "image"}]}])),
            "messages[0].content[0].source: missing",
        ),
        (
            turns(
                json!([{"role": "user", "content": [{"type": "image", "source": {"type": "file"}}]}]),
            ),
            "messages[0].content[0].source: ",
        ),
        (
            turns(
                json!([{"role": "user", "content": [{"type": "document", "source": {"type": "url"}}]}]),
            ),
            "messages[0].content[0].source: ",
        ),
        (
            turns(
                json!([{"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "f", "input": "x"}]}]),
            ),
            "messages[0].content[0].input: ",
        ),
        (json!({"tools": {}}), "tools: "),
        (json!({"tools": [{}]}), "tools[0].name: missing"),
        (json!({"tools": [{"name": "f"}], "tool_choice": "auto"}), "tool_choice: "),
        (json!({"tools": [{"name": "f"}], "tool_choice": {"type": "some"}}), "tool_choice.type: "),
        (json!({"stop_sequences": "x"}), "stop_sequences: "),
        (json!({"thinking": {"type": "enabled"}}), "thinking.budget_tokens: missing"),
        (json!({"metadata": {"user_id": 1}}), "metadata.user_id: "),
        (json!({"system": 1}), "system: "),
    ] {
        let refused = chat_of(&with(&members), true).unwrap_err();
        assert!(refused.starts_with(expected), "{expected}\n{refused}");
    }
}
