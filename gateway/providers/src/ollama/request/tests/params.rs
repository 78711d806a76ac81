//! Parameters that must be sent with model and messages.

use super::{
    super::{chat_request, unfit},
    sent,
};
use crate::ParamRules;
use serde_json::{Map, Value, json};

#[test]
fn sampling_parameters_become_options() {
    for (model, params, expected) in [
        ("qwen", json!({}), json!({"options": {}})),
        (
            "qwen",
            json!({"stream": true, "stream_options": {"include_usage": true}}),
            json!({"options": {}, "stream": true}),
        ),
        ("qwen", json!({"max_tokens": 10}), json!({"options": {"num_predict": 10}})),
        (
            "qwen",
            json!({"max_tokens": 10, "max_completion_tokens": 44}),
            json!({"options": {"num_predict": 44}}),
        ),
        (
            "qwen",
            json!({"num_predict": 1, "max_completion_tokens": 44}),
            json!({"options": {"num_predict": 1}}),
        ),
        (
            "qwen",
            json!({"temperature": 0.3, "top_p": 0.8, "seed": 7, "top_k": 11, "num_ctx": 4096, "min_p": 0.1}),
            json!({"options": {"temperature": 0.3, "top_p": 0.8, "seed": 7, "top_k": 11, "num_ctx": 4096, "min_p": 0.1}}),
        ),
        ("qwen", json!({"temperature": "hot"}), json!({"options": {"temperature": "hot"}})),
        ("qwen", json!({"temperature": null, "stop": null, "tools": null}), json!({"options": {}})),
        ("qwen", json!({"stop": "END"}), json!({"options": {"stop": ["END"]}})),
        ("qwen", json!({"stop": ["a", "b"]}), json!({"options": {"stop": ["a", "b"]}})),
        (
            "qwen",
            json!({"frequency_penalty": 0.5, "presence_penalty": 0.0, "repeat_penalty": 1.2}),
            json!({"options": {"frequency_penalty": 0.5, "presence_penalty": 0.0, "repeat_penalty": 1.2}}),
        ),
        (
            "qwen",
            json!({"logprobs": true, "top_logprobs": 3}),
            json!({"options": {}, "logprobs": true, "top_logprobs": 3}),
        ),
        (
            "qwen",
            json!({"options": {"num_ctx": 1, "seed": 2, "top_k": null}, "seed": 3}),
            json!({"options": {"num_ctx": 1, "seed": 3}}),
        ),
    ] {
        assert_sent(model, &params, expected);
    }
}

#[test]
fn neutral_and_internal_parameters_are_left_out() {
    for (model, params, expected) in [
        (
            "qwen",
            json!({"user": "u1", "metadata": {"a": 1}, "store": false, "litellm_call_id": "x", "mock_response": "x", "api_key": "k", "timeout": 3}),
            json!({"options": {}}),
        ),
        (
            "qwen",
            json!({"n": 1.0, "logit_bias": {}, "parallel_tool_calls": true, "top_logprobs": null, "function_call": "auto", "tool_choice": "auto",
                "service_tier": "auto", "verbosity": "medium", "modalities": ["text"], "web_search_options": null}),
            json!({"options": {}}),
        ),
        (
            "qwen",
            json!({"prediction": {"type": "content"}, "prompt_cache_key": "k", "safety_identifier": "s", "litellm_session_id": "s",
                "litellm_trace_id": "t", "no-log": true, "caching": true, "additional_drop_params": ["seed"], "ttl": 1, "s-maxage": 1,
                "guardrails": [], "user_api_key_hash": "h"}),
            json!({"options": {}}),
        ),
        ("qwen", json!({"n": 2, "drop_params": true}), json!({"options": {}})),
        (
            "qwen",
            json!({"foo": 1, "tool_choice": "required", "audio": {}, "drop_params": true}),
            json!({"options": {}}),
        ),
        (
            "qwen",
            json!({"extra_body": {"litellm_session_id": "s", "no-log": true, "stream": true, "messages": [], "top_k": 1}}),
            json!({"options": {"top_k": 1}}),
        ),
        ("qwen", json!({"extra_body": {"drop_params": true}, "n": 2}), json!({"options": {}})),
    ] {
        assert_sent(model, &params, expected);
    }
}

#[test]
fn thinking_and_keep_alive_stand_at_the_top() {
    for (model, params, expected) in [
        (
            "qwen",
            json!({"think": false, "keep_alive": "5m"}),
            json!({"options": {}, "think": false, "keep_alive": "5m"}),
        ),
        (
            "qwen",
            json!({"extra_body": {"think": false, "model": "other", "num_ctx": 5}}),
            json!({"options": {"num_ctx": 5}, "think": false}),
        ),
        ("qwen", json!({"reasoning_effort": "none"}), json!({"options": {}, "think": false})),
        ("qwen", json!({"reasoning_effort": "minimal"}), json!({"options": {}, "think": "low"})),
        ("qwen", json!({"reasoning_effort": "low"}), json!({"options": {}, "think": "low"})),
        ("qwen", json!({"reasoning_effort": "medium"}), json!({"options": {}, "think": "medium"})),
        ("qwen", json!({"reasoning_effort": "high"}), json!({"options": {}, "think": "high"})),
        ("qwen", json!({"reasoning_effort": "xhigh"}), json!({"options": {}, "think": "max"})),
        ("qwen", json!({"reasoning_effort": "max"}), json!({"options": {}, "think": "max"})),
        ("qwen", json!({"reasoning_effort": "new"}), json!({"options": {}, "think": "new"})),
        ("qwen", json!({"reasoning_effort": null}), json!({"options": {}})),
        (
            "gpt-oss:20b",
            json!({"reasoning_effort": "none"}),
            json!({"options": {}, "think": false}),
        ),
        ("qwen", json!({"reasoning": {"effort": "xhigh"}}), json!({"options": {}, "think": "max"})),
        ("qwen", json!({"reasoning": {}}), json!({"options": {}})),
        (
            "qwen",
            json!({"reasoning_effort": "high", "think": false}),
            json!({"options": {}, "think": false}),
        ),
    ] {
        assert_sent(model, &params, expected);
    }
}

#[test]
fn format_and_tools_stand_at_the_top() {
    let tool =
        json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    for (model, params, expected) in [
        ("qwen", json!({"response_format": {"type": "text"}}), json!({"options": {}})),
        (
            "qwen",
            json!({"response_format": {"type": "json_object"}}),
            json!({"options": {}, "format": "json"}),
        ),
        (
            "qwen",
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}}}),
            json!({"options": {}, "format": schema}),
        ),
        (
            "qwen",
            json!({"tools": [tool], "tool_choice": "auto"}),
            json!({"options": {}, "tools": [tool]}),
        ),
        (
            "qwen",
            json!({"tools": [{"type": "custom", "custom": {}}, tool], "tool_choice": "required", "drop_params": true}),
            json!({"options": {}, "tools": [tool]}),
        ),
        ("qwen", json!({"tools": [tool], "tool_choice": "none"}), json!({"options": {}})),
        (
            "qwen",
            json!({"functions": [{"name": "f", "parameters": {"type": "object"}}]}),
            json!({"options": {}, "tools": [tool]}),
        ),
        (
            "qwen",
            json!({"functions": [{"name": "f"}], "function_call": "none"}),
            json!({"options": {}}),
        ),
    ] {
        assert_sent(model, &params, expected);
    }
}

#[test]
fn the_client_overrides_the_deployment_whatever_the_spelling() {
    for (defaults, params, expected) in [
        (
            json!({"keep_alive": "10m", "num_ctx": 9000, "rpm": 3}),
            json!({}),
            json!({"keep_alive": "10m", "options": {"num_ctx": 9000}}),
        ),
        (
            json!({"max_completion_tokens": 5, "temperature": 0.1}),
            json!({"max_tokens": 9}),
            json!({"options": {"num_predict": 9, "temperature": 0.1}}),
        ),
        (
            json!({"temperature": 0.1}),
            json!({"options": {"temperature": 0.9}}),
            json!({"options": {"temperature": 0.9}}),
        ),
        (
            json!({"temperature": 0.1}),
            json!({"temperature": null}),
            json!({"options": {"temperature": 0.1}}),
        ),
        (
            json!({"think": true}),
            json!({"reasoning_effort": "none"}),
            json!({"think": false, "options": {}}),
        ),
        (
            json!({"format": "json"}),
            json!({"response_format": {"type": "text"}}),
            json!({"options": {}}),
        ),
        (json!({"n": 2}), json!({"n": 1}), json!({"options": {}})),
        (
            json!({"tool_choice": "required", "foo": 1, "litellm_trace_id": "t", "seed": 1}),
            json!({}),
            json!({"options": {"seed": 1}}),
        ),
        (json!({"drop_params": true}), json!({"n": 2}), json!({"options": {}})),
        (json!({"stream": true, "messages": 5, "model": "m"}), json!({}), json!({"options": {}})),
    ] {
        let Value::Object(defaults) = defaults else { panic!("defaults are an object") };
        let body = with_params(&params);
        let sent = chat_request(body.as_bytes(), "qwen", &defaults, &ParamRules::default())
            .expect("translates");
        let mut sent: Value = serde_json::from_slice(&sent).expect("JSON");
        let object = sent.as_object_mut().expect("object");
        assert_eq!(object.remove("stream"), Some(json!(false)));
        object.retain(|key, _| key != "model" && key != "messages");
        assert_eq!(sent, expected, "{defaults:?} {params}");
    }
}

#[test]
fn what_is_left_out_is_sent_for_nobody() {
    let leave_out = ["seed", "foo", "n"].map(str::to_owned).to_vec();
    let rules = ParamRules { leave_out, ..ParamRules::default() };
    let defaults = json!({"seed": 1, "top_k": 2});
    let body = with_params(&json!({"seed": 3, "foo": 1, "extra_body": {"n": 2, "top_p": 1}}));
    let defaults = defaults.as_object().expect("object");
    let sent = chat_request(body.as_bytes(), "qwen", defaults, &rules).expect("sent");
    let sent: Value = serde_json::from_slice(&sent).expect("JSON");
    assert_eq!(sent["options"], json!({"top_k": 2, "top_p": 1}));
}

#[test]
fn what_the_operator_allows_is_sent_as_an_option() {
    let allowed = ["foo", "logit_bias"].map(str::to_owned).to_vec();
    let rules = ParamRules { allowed, ..ParamRules::default() };
    let body = with_params(&json!({"foo": 1, "logit_bias": {"1": 2}, "n": 1}));
    let sent = chat_request(body.as_bytes(), "qwen", &Map::new(), &rules).expect("sent");
    let sent: Value = serde_json::from_slice(&sent).expect("JSON");
    assert_eq!(sent["options"], json!({"foo": 1, "logit_bias": {"1": 2}}));
}

#[test]
fn unfit_defaults_are_named() {
    let defaults = json!({"seed": 1, "n": 2, "tool_choice": "required", "foo": 1, "store": false,
        "tools": [{"type": "custom"}], "think": true, "user": "u"});
    let unfit = unfit(defaults.as_object().expect("object"));
    assert_eq!(unfit, ["n", "tool_choice", "foo", "tools"]);
}

#[test]
fn numbers_stay_as_they_are_written() {
    let body = r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"c","function":{"name":"f",
        "arguments":"{\"big\":123456789012345678901234567890,\"far\":1e999}"}}]}],
        "seed":123456789012345678901234567890,"temperature":1e999,"top_p":0.10,"options":{"x":-1E+999}}"#;
    let sent =
        chat_request(body.as_bytes(), "m", &Map::new(), &ParamRules::default()).expect("sent");
    let sent = String::from_utf8(sent).expect("text");
    for piece in [
        r#""arguments":{"big":123456789012345678901234567890,"far":1e999}"#,
        r#""seed":123456789012345678901234567890"#,
        r#""temperature":1e999"#,
        r#""top_p":0.10"#,
        r#""x":-1E+999"#,
    ] {
        assert!(sent.contains(piece), "{piece} is not in {sent}");
    }
}

/// Sends the message `hi` with these parameters.
#[track_caller]
fn assert_sent(model: &str, params: &Value, mut expected: Value) {
    expected["model"] = json!(model);
    expected["messages"] = json!([{"role": "user", "content": "hi", "images": []}]);
    if expected["stream"].is_null() {
        expected["stream"] = json!(false);
    }
    assert_eq!(sent(model, &with_params(params)), expected, "{params}");
}

fn with_params(params: &Value) -> String {
    let mut body = json!({"model": "name", "messages": [{"role": "user", "content": "hi"}]});
    let object = body.as_object_mut().expect("object");
    object.extend(params.as_object().expect("object").clone());
    body.to_string()
}
