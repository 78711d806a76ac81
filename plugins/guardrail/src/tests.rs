//! Tests rules on prompts, replies and streams, through the same tables as those of a loaded
//! plugin.

mod memory;
mod settings;
mod streams;

use crate::Guardrail;
use plugin_api::{
    Rejection,
    testing::{Outcome, TestCall, TestReply, Tester, conformance},
};
use serde_json::{Value, json};

fn rules(rules: &Value) -> Tester {
    Tester::of::<Guardrail>(json!({"rules": rules})).unwrap()
}

#[track_caller]
fn refused(outcome: Outcome) -> Rejection {
    match outcome {
        Outcome::Reject(rejection) => rejection,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn a_prompt_is_masked_and_everything_else_of_it_stays() {
    let tester = rules(&json!([
        {"preset": "email", "action": "mask"},
        {"pattern": "(?i)nightfall", "action": "mask", "replacement": "$0 \"x\""},
    ]));
    let image =
        json!({"type": "image_url", "image_url": {"url": "https://x.example/?to=a@example.com"}});
    let mut call = TestCall::chat("m")
        .message("system", "nothing to see")
        .message("user", "write to ann@example.com\nand bob.b+c@mail.example.org, NightFall")
        .message_json(json!({"role": "user", "name": "u", "content": [
            {"type": "text", "text": "a@example.com"}, image.clone(),
            {"type": "text", "text": "nightfall", "cache_control": {"type": "ephemeral"}},
        ]}))
        .message_json(json!({"role": "assistant", "content": null, "thinking": "a@example.com",
            "tool_calls": [{"id": "c", "function": {"arguments": "a@example.com"}}]}));
    assert_eq!(tester.start(&mut call), Outcome::Continue);
    let expected = json!([
        {"role": "system", "content": "nothing to see"},
        {"role": "user", "content": "write to [email]\nand [email], $0 \"x\""},
        {"role": "user", "name": "u", "content": [
            {"type": "text", "text": "[email]"}, image,
            {"type": "text", "text": "$0 \"x\"", "cache_control": {"type": "ephemeral"}},
        ]},
        {"role": "assistant", "content": null, "thinking": "[email]",
            "tool_calls": [{"id": "c", "function": {"arguments": "[email]"}}]},
    ]);
    assert_eq!(call.body()["messages"], expected);
}

#[test]
fn a_denied_prompt_is_refused_without_showing_what_was_found() {
    let key = format!("sk-{}", "a1".repeat(20));
    let parts = json!({"role": "user", "content": [{"type": "text", "text": format!("x {key}")}]});
    let past = json!({"role": "assistant", "content": "", "reasoning_content": format!("x {key}")});
    for message in [json!({"role": "tool", "content": format!("x {key}.")}), parts, past] {
        let tester = rules(&json!([{"preset": "api_key", "action": "deny"}]));
        let rejection = refused(tester.start(&mut TestCall::chat("m").message_json(message)));
        assert_eq!((rejection.status, rejection.code.as_deref()), (400, Some("guardrail")));
        assert_eq!(rejection.message, "the prompt is refused by the rule `api_key`");
        assert!(tester.host().log().iter().all(|line| !line.to_string().contains(&key)));
    }
}

#[test]
fn what_cannot_be_judged_does_not_pass() {
    let tester = rules(&json!([{"pattern": "x", "action": "mask"}]));
    for content in [json!(7), json!({"text": "x"}), json!([7]), json!([{"text": ["x"]}])] {
        let mut call = TestCall::chat("m").message_json(json!({"content": content}));
        if !content.is_array() {
            let rejection = refused(tester.start(&mut call));
            assert!(
                rejection.message.starts_with("messages[0]: expected"),
                "{}",
                rejection.message
            );
        }
        for choice in [json!({"message": {"content": content}}), json!({"message": 7}), json!(7)] {
            let mut reply = TestReply::json(json!({"choices": [choice]}));
            let outcome = tester.end(&mut TestCall::chat("m"), &mut reply);
            assert_eq!(refused(outcome).status, 502, "{choice}");
        }
    }
}

#[test]
fn every_text_that_is_sent_is_looked_at() {
    let tester = rules(&json!([
        {"preset": "credit_card", "action": "mask", "replacement": "#"},
        {"pattern": "s3cret", "action": "mask", "replacement": "#"},
    ]));
    let mut call = TestCall::chat("m")
        .message_json(json!({"role": "s3cret", "name": "s3cret", "content": [
            "s3cret", {"type": "input_text", "text": "a s3cret"}, {"type": "odd", "deep": [["s3cret"]]},
            {"type": "input_audio", "input_audio": {"data": "s3cret", "format": "s3cret"}},
        ]}))
        .message_json(json!({"role": "assistant", "s3cret": 1, "tool_calls": [{"id": "c", "function": {
            "name": "pay", "arguments": "{\"to\":\"s3cret\", \"card\":4111111111111111,\"n\":1e999}"}}]}))
        .param("tools", json!([{"function": {"description": "s3cret", "parameters": {"s3cret": {}}}}]))
        .param("prompt", json!("s3cret"))
        .param("max_tokens", json!(4111111111111111_u64))
        .param("extra_body", json!({"input": ["s3cret"]}))
        .param("metadata", json!({"note": "s3cret"}));
    assert_eq!(tester.start(&mut call), Outcome::Continue);
    let body = call.body();
    assert_eq!(
        body["messages"],
        json!([
            {"role": "#", "name": "#", "content": [
                "#", {"type": "input_text", "text": "a #"}, {"type": "odd", "deep": [["#"]]},
                {"type": "input_audio", "input_audio": {"data": "s3cret", "format": "#"}},
            ]},
            {"role": "assistant", "#": 1, "tool_calls": [{"id": "c", "function": {
                "name": "pay", "arguments": "{\"to\":\"#\", \"card\":\"#\",\"n\":1e999}"}}]},
        ])
    );
    assert_eq!(body["tools"], json!([{"function": {"description": "#", "parameters": {"#": {}}}}]));
    assert_eq!((&body["prompt"], &body["extra_body"]), (&json!("#"), &json!({"input": ["#"]})));
    assert_eq!(body["max_tokens"], 4111111111111111_u64);
    assert_eq!(body["metadata"]["note"], "s3cret");
}

#[test]
fn what_only_looks_like_no_text_is_looked_at() {
    let tester = rules(&json!([{"preset": "credit_card", "action": "mask", "replacement": "#"}]));
    const CARD: &str = "4111 1111 1111 1111";
    let picture = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let part = |part: Value| json!([{"role": "user", "content": [part]}]);
    for (name, sent, expected) in [
        ("messages", part(picture(CARD)), part(picture("#"))),
        (
            "messages",
            part(picture(&format!("data:text/plain,{CARD}"))),
            part(picture("data:text/plain,#")),
        ),
        (
            "messages",
            part(picture("data:image/png;base64,4111111111111111")),
            part(picture("data:image/png;base64,4111111111111111")),
        ),
        ("tools", json!([{"image_url": {"url": CARD}}]), json!([{"image_url": {"url": "#"}}])),
        ("response_format", json!({"enum": [4111111111111111_u64]}), json!({"enum": ["#"]})),
        ("own", json!(4111111111111111_u64), json!("#")),
        ("seed", json!(4111111111111111_u64), json!(4111111111111111_u64)),
        ("options", json!({"seed": 4111111111111111_u64}), json!({"seed": 4111111111111111_u64})),
    ] {
        let mut call = match name {
            "messages" => TestCall::chat("m").message_json(sent[0].clone()),
            _ => TestCall::chat("m").param(name, sent.clone()),
        };
        assert_eq!(tester.start(&mut call), Outcome::Continue, "{sent}");
        assert_eq!(call.body()[name], expected, "{sent}");
    }
}

#[test]
fn a_match_over_parts_or_in_a_members_name_is_refused() {
    let parts = |texts: &[&str]| {
        let part = |text: &&str| json!({"type": "text", "text": text});
        json!({"role": "user", "content": texts.iter().map(part).collect::<Vec<_>>()})
    };
    for action in ["deny", "mask"] {
        let tester = rules(&json!([{"preset": "credit_card", "action": action}]));
        for message in [
            parts(&["4111 1111 ", "1111 1111"]),
            parts(&["x ", "4111 ", "", "1111 1111", " 1111 y"]),
            json!({"role": "user", "content": ["4111 1111 ", {"text": "1111 1111"}]}),
        ] {
            let outcome = tester.start(&mut TestCall::chat("m").message_json(message));
            assert_eq!(refused(outcome).status, 400);
        }
        let mut named = TestCall::chat("m").param("4111 1111 1111 1111", json!(1));
        assert_eq!(refused(tester.start(&mut named)).status, 400);
        for texts in [&["4111 1111 ", "and 1111 1111"][..], &["one"], &["4111 1111 1111", "x 1111"]]
        {
            let mut call = TestCall::chat("m").message_json(parts(texts));
            assert_eq!(tester.start(&mut call), Outcome::Continue, "{texts:?}");
        }
    }
    let tester = rules(&json!([{"pattern": "s3cret", "action": "mask", "replacement": "s3cret"}]));
    let mut call = TestCall::chat("m").message_json(parts(&["a s3cret", "s3cret b"]));
    assert_eq!(tester.start(&mut call), Outcome::Continue, "only what goes over a seam is refused");
}

#[test]
fn a_reply_is_looked_at_in_all_its_members_and_in_repeated_ones() {
    for (sent, expected) in [
        (r#"{"content":"s3cret","content":"x"}"#, r##"{"content":"#","content":"x"}"##),
        (r#"{"content":"x","Content":"s3cret"}"#, r##"{"content":"x","Content":"#"}"##),
        (
            r#"{"content":"x","audio":{"data":"s3cret","transcript":"s3cret"}}"#,
            r##"{"content":"x","audio":{"data":"s3cret","transcript":"#"}}"##,
        ),
        (
            r#"{"content":null,"function_call":{"name":"f","arguments":"{\"a\":[1e999,\"\\u0073\\u0033cret\"]}"}}"#,
            r##"{"content":null,"function_call":{"name":"f","arguments":"{\"a\":[1e999,\"#\"]}"}}"##,
        ),
    ] {
        let reply = |message: &str| format!(r#"{{"n":1e999,"choices":[{{"message":{message}}}]}}"#);
        let changed = crate::reply::whole(&tester_rules(), &reply(sent)).unwrap();
        assert_eq!(changed, Some(reply(expected)));
    }
    for (twice, expected) in [
        (
            r#"{"choices":[{"delta":{"content":"s3cret","content":"x"}}]}"#,
            r#"{"choices":[{"delta":{"content":"x"}}]}"#,
        ),
        (
            r#"{"choices":["s3cret"],"choices":[],"y":[{"a":"s3cret","a":1}]}"#,
            r##"{"choices":[],"y":[{"a":"#","a":1}]}"##,
        ),
    ] {
        let mut held = crate::stream_buffer::StreamBuffer::default();
        let changed = crate::reply::chunk(&tester_rules(), &mut held, twice).unwrap();
        assert_eq!(changed.as_deref(), Some(expected));
    }
}

#[test]
fn names_that_an_upstream_invents_are_looked_at_and_words_of_the_api_are_not() {
    let chunk = |rules: &[crate::rule::Rule], json: &str| {
        crate::reply::chunk(rules, &mut crate::stream_buffer::StreamBuffer::default(), json)
    };
    let whole = crate::reply::whole;
    let wholes = [
        (r#"{"a s3cret":1,"choices":[]}"#, r##"{"a #":1,"choices":[]}"##),
        (
            r#"{"choices":[{"s\u0033cret":null,"message":{"s3cret":{"s3cret":[{"s3cret":"s3cret"}]}}}]}"#,
            r##"{"choices":[{"#":null,"message":{"#":{"#":[{"#":"#"}]}}}]}"##,
        ),
    ];
    let chunks = [
        (r#"{"a s3cret":1,"choices":[]}"#, r##"{"a #":1,"choices":[]}"##),
        (r#"{"s3cret":null,"choices":[]}"#, r##"{"#":null,"choices":[]}"##),
        (
            r#"{"choices":[{"s3cret":true,"delta":{"s\u0033cret":{"s3cret":1},"tool_calls":[{"s3cret":1,"function":{"s3cret":1}}],"function_call":{"s3cret":1}}}]}"#,
            r##"{"choices":[{"#":true,"delta":{"#":{"#":1},"tool_calls":[{"#":1,"function":{"#":1}}],"function_call":{"#":1}}}]}"##,
        ),
    ];
    let denying = rules_for_replies("s3cret", "deny");
    for (json, expected) in wholes {
        assert_eq!(whole(&tester_rules(), json).unwrap().as_deref(), Some(expected));
        assert!(whole(&denying, json).is_err(), "{json}");
    }
    for (json, expected) in chunks {
        assert_eq!(chunk(&tester_rules(), json).unwrap().as_deref(), Some(expected));
        assert!(chunk(&denying, json).is_err(), "{json}");
    }
    let denying = rules_for_replies("[a-z_]{1,40}", "deny");
    let words = r#"{"id":"","choices":[{"index":0,"message":{"role":"","content":null,"audio":null},"content_filter_results":{"self_harm":{"filtered":false}}}],"usage":{"total_tokens":1}}"#;
    assert_eq!(whole(&denying, words).unwrap(), None);
    let words = r#"{"id":"","choices":[{"index":0,"delta":{"role":"","tool_calls":[]},"logprobs":null}],"x_groq":{"id":""}}"#;
    assert_eq!(chunk(&denying, words).unwrap(), None);
}

#[test]
fn what_repeats_a_text_is_taken_out_of_a_chunk_even_where_a_rule_finds_something_in_it() {
    let mut held = crate::stream_buffer::StreamBuffer::default();
    let json =
        r#"{"choices":[{"delta":{},"logprobs":{"content":[{"token":"s3cret"},{"token":"s3"}]}}]}"#;
    let changed = crate::reply::chunk(&tester_rules(), &mut held, json).unwrap();
    assert_eq!(changed.as_deref(), Some(r#"{"choices":[{"delta":{},"logprobs":null}]}"#));
}

fn rules_for_replies(pattern: &str, action: &str) -> Vec<crate::rule::Rule> {
    let mut rule = json!({"pattern": pattern, "action": action});
    if action == "mask" {
        rule["replacement"] = json!("#");
    }
    let settings = json!({"rules": [rule]});
    serde_json::from_value::<crate::settings::Settings>(settings).unwrap().rules().unwrap().1
}

fn tester_rules() -> Vec<crate::rule::Rule> {
    rules_for_replies("s3cret", "mask")
}

#[test]
fn a_replacement_cannot_make_a_prompt_grow_without_bound() {
    let long = "y".repeat(1 << 20);
    let tester = rules(&json!([{"pattern": "x", "action": "mask", "replacement": long}]));
    for message in [
        json!({"role": "user", "content": "x".repeat(100)}),
        json!({"role": "user", "content": vec!["x"; 100]}),
    ] {
        let rejection = refused(tester.start(&mut TestCall::chat("m").message_json(message)));
        assert_eq!(rejection.status, 400);
        assert!(rejection.message.contains("too large"), "{}", rejection.message);
    }
}

#[test]
fn a_json_reply_is_masked_in_all_its_texts_and_choices() {
    let tester = rules(&json!([{"pattern": "s3cret", "action": "mask", "on": ["reply"]}]));
    let mut reply = TestReply::json(json!({
        "choices": [
            {"index": 0, "message": {"content": "a s3cret", "reasoning_content": "s3cret!",
                "tool_calls": [{"function": {"arguments": "{\"a\":\"s3cret\"}"}}]},
                "logprobs": {"content": [{"token": "s3"}]}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": [{"type": "text", "text": "s3cret"}],
                "refusal": "s3cret"}},
        ],
        "usage": {"total_tokens": 3},
    }));
    assert_eq!(tester.end(&mut TestCall::chat("m"), &mut reply), Outcome::Continue);
    let mask = "[rule 1]";
    assert_eq!(
        reply.value(),
        json!({
            "choices": [
                {"index": 0, "message": {"content": format!("a {mask}"),
                    "reasoning_content": format!("{mask}!"),
                    "tool_calls": [{"function": {"arguments": "{\"a\":\"[rule 1]\"}"}}]},
                    "logprobs": null, "finish_reason": "stop"},
                {"index": 1, "message": {"content": [{"type": "text", "text": mask}],
                    "refusal": mask}},
            ],
            "usage": {"total_tokens": 3},
        })
    );
}

#[test]
fn a_denied_reply_is_withheld_with_the_operators_words() {
    let tester = rules(&json!([
        {"name": "no", "pattern": "s3cret", "action": "deny", "on": ["reply"], "status": 451,
            "message": "ask legal"},
    ]));
    let mut call = TestCall::chat("m").message("user", "s3cret");
    assert_eq!(tester.start(&mut call), Outcome::Continue);
    let rejection = refused(tester.end(&mut call, &mut TestReply::text("the s3cret")));
    assert_eq!((rejection.status, rejection.message.as_str()), (451, "ask legal"));
    assert_eq!(tester.end(&mut call, &mut TestReply::text("fine")), Outcome::Continue);
}

#[test]
fn presets_find_what_they_are_named_for_and_leave_the_rest() {
    for (preset, text, expected) in [
        ("email", "a@b.co, x@y", "[email], x@y"),
        ("email", "mailto:first.last+tag@sub.example.co.uk!", "mailto:[email]!"),
        ("credit_card", "4111 1111 1111 1111", "[credit_card]"),
        ("credit_card", "no. 12 4111-1111-1111-1111 12", "no. 12 [credit_card] 12"),
        ("credit_card", "4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("credit_card", "12345678901234567890123456789", "12345678901234567890123456789"),
        ("api_key", "AKIAIOSFODNN7EXAMPLE task-force", "[api_key] task-force"),
    ] {
        let tester = rules(&json!([{"preset": preset, "action": "mask"}]));
        let mut call = TestCall::chat("m").message("user", text);
        assert_eq!(tester.start(&mut call), Outcome::Continue);
        assert_eq!(call.body()["messages"][0]["content"], expected, "{text}");
    }
}

#[test]
fn conforms_and_exports_the_hooks_it_has() {
    for action in ["deny", "mask"] {
        let settings = json!({"rules": [
            {"pattern": "and then|one", "action": action}, {"preset": "email", "action": action},
        ]});
        let implemented = conformance::check::<Guardrail>(&settings).unwrap();
        assert_eq!(implemented, ["on_llm_start", "on_llm_new_token", "on_llm_end"]);
    }
}
