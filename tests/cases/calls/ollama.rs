//! Calls in OpenAI's dialect translated for Ollama and back, as a client sees them end to end. Unit
//! tests cover the details of the translation.

use callgate_tests::{
    Answer, Event, Gateway, UPSTREAM_KEY,
    config::{config, every_dialect, ollama, with_param},
    sse, upstream,
};
use serde_json::{Value, json};

#[tokio::test]
async fn parameters_and_messages_take_ollamas_shape() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
    let request = json!({
        "model": "gemma", "max_tokens": 5, "temperature": 0.2, "top_p": 0.9, "seed": 3, "stop": "END",
        "num_ctx": 4096, "options": {"top_k": 7}, "keep_alive": "5m", "user": "u", "n": 1,
        "response_format": {"type": "json_object"}, "tool_choice": "auto",
        "messages": [
            {"role": "developer", "content": "sys"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}]},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
                "function": {"name": "f", "arguments": "{\"x\":1}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "42"}],
    });
    let _ = gateway.client().chat("").json(request).send().await.expect_status(200);
    let sent = upstream.requests()[0].json();
    let expected = json!({
        "model": "gemma3:4b", "stream": false, "format": "json", "keep_alive": "5m",
        "options": {"num_predict": 5, "temperature": 0.2, "top_p": 0.9, "seed": 3, "stop": ["END"],
                    "num_ctx": 4096, "top_k": 7},
        "messages": [
            {"role": "system", "content": "sys", "images": []},
            {"role": "user", "content": "ab", "images": ["QUJD"]},
            {"role": "assistant", "content": "", "images": [],
             "tool_calls": [{"id": "c1", "function": {"index": 0, "name": "f", "arguments": {"x": 1}}}]},
            {"role": "tool", "content": "42", "images": [], "tool_call_id": "c1", "tool_name": "f"}],
    });
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn what_cannot_be_translated_is_refused_with_the_members_name() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
    let bad_call = json!([{"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
        "function": {"name": "f", "arguments": "{broken"}}]}]);
    let url = json!([{"role": "user", "content": [{"type": "image_url",
        "image_url": {"url": "https://example.com/cat.png"}}]}]);
    for (name, value, mentioned) in [
        ("n", json!(2), "`n`"),
        ("tool_choice", json!("required"), "`tool_choice`"),
        ("unheard_of", json!(1), "`unheard_of`"),
        ("store", json!(true), "`store`"),
        ("messages", bad_call, "messages[0].tool_calls[0].function.arguments"),
        ("messages", url, "messages[0]"),
        ("messages", json!("hi"), "messages"),
    ] {
        let reply = gateway.client().chat("gemma").set(name, value).send().await.expect_status(400);
        let error = reply.error();
        assert!(error.to_string().contains(mentioned), "{name}: {error}");
    }
    assert_eq!(upstream.requests().len(), 0);

    let lenient = with_param(ollama(&upstream), "drop_params", true);
    let gateway = Gateway::with_config(config(&[lenient])).start().await;
    let _ = gateway.client().chat("gemma").set("n", 2).send().await.expect_status(200);
}

#[tokio::test]
async fn parallel_results_stay_with_their_calls() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
    let call = |id: &str, name: &str| json!({"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}});
    let messages = json!([
        {"role": "assistant", "content": null, "tool_calls": [call("a", "time"), call("b", "place")]},
        {"role": "tool", "tool_call_id": "b", "content": "here"},
        {"role": "tool", "tool_call_id": "a", "content": "now"}]);
    let request = gateway.client().chat("gemma").set("messages", messages);
    let _ = request.send().await.expect_status(200);
    let sent = upstream.requests()[0].json();
    let results = sent["messages"].as_array().unwrap()[1..].iter();
    let tied: Vec<_> =
        results.map(|it| (it["tool_call_id"].clone(), it["tool_name"].clone())).collect();
    assert_eq!(tied, [(json!("b"), json!("place")), (json!("a"), json!("time"))]);
}

#[tokio::test]
async fn what_ollama_has_by_now_is_passed_on() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
    for (name, value, place, sent) in [
        ("presence_penalty", json!(0.5), "/options/presence_penalty", json!(0.5)),
        ("logprobs", json!(true), "/logprobs", json!(true)),
        ("reasoning_effort", json!("none"), "/think", json!(false)),
        ("reasoning_effort", json!("minimal"), "/think", json!("low")),
        ("reasoning_effort", json!("high"), "/think", json!("high")),
        ("reasoning_effort", json!("xhigh"), "/think", json!("max")),
        ("reasoning_effort", json!("max"), "/think", json!("max")),
    ] {
        let request = gateway.client().chat("gemma").set(name, value.clone());
        let _ = request.send().await.expect_status(200);
        let received = upstream.requests().pop().unwrap().json();
        assert_eq!(received.pointer(place), Some(&sent), "{name}: {value}");
    }
}

#[tokio::test]
async fn a_deployment_leaves_out_the_configured_parameters() {
    let upstream = upstream(Answer::default()).await;
    for deployment in every_dialect(&upstream) {
        let model = deployment["model_name"].as_str().unwrap().to_owned();
        let names = json!(["seed", "user"]);
        let deployment = with_param(deployment, "additional_drop_params", names);
        let deployment = with_param(deployment, "seed", 5);
        let gateway = Gateway::with_config(config(&[deployment])).start().await;
        let request = gateway.client().chat(&model).set("user", "u").set("seed", 7);
        let _ = request.set("top_p", 0.5).send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap().json().to_string();
        assert!(!sent.contains("seed") && !sent.contains(r#""user":"u""#), "{model}: {sent}");
        assert!(sent.contains("0.5"), "{model}: {sent}");
    }
}

#[tokio::test]
async fn the_reply_is_a_complete_chat_completion() {
    let upstream = upstream(Answer::text(["It is ", "sunny"]).thinking("look outside")).await;
    let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
    let reply = gateway.client().chat("gemma").send().await.expect_status(200).json();
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"), "{reply}");
    assert_eq!((&reply["object"], &reply["model"]), (&json!("chat.completion"), &json!("gemma")));
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "It is sunny");
    assert_eq!(choice["message"]["reasoning_content"], "look outside");
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(0), &json!("stop")));
    let usage = json!({"prompt_tokens": 26, "completion_tokens": 9, "total_tokens": 35});
    assert_eq!(reply["usage"], usage);
}

#[tokio::test]
async fn thinking_is_kept_out_of_the_text_wherever_it_hides() {
    let cases: [(Answer, &str); 4] = [
        (Answer::text(["sunny"]).thinking("look outside"), "a field of its own"),
        (Answer::text(["<think>look", " outside</think>", "sunny"]), "tags in the text"),
        (Answer::text(["<think>", "look outside", "</think>", "sunny"]), "tags alone"),
        (Answer::text(["<th", "ink>look outside</thi", "nk>sunny"]), "tags cut in two"),
    ];
    for (answer, what) in cases {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
        let reply = gateway.client().chat("gemma").send().await.expect_status(200).json();
        let message = &reply["choices"][0]["message"];
        assert_eq!(message["content"], "sunny", "{what}");
        assert_eq!(message["reasoning_content"], "look outside", "{what}");

        let reply = gateway.client().chat("gemma").streaming().send().await.expect_status(200);
        let events = reply.events();
        assert_eq!(sse::text(&events), "sunny", "{what}: {events:?}");
        let deltas = events.iter().map(|e| &e.json()["choices"][0]["delta"]["reasoning_content"]);
        let thinking: String = deltas.filter_map(Value::as_str).collect();
        assert_eq!(thinking, "look outside", "{what}: {events:?}");
    }
}

#[tokio::test]
async fn finish_reasons_are_openais() {
    for (answer, expected) in
        [(Answer::default(), "stop"), (Answer::default().finish_reason("length"), "length")]
    {
        let upstream = upstream(answer).await;
        let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
        let reply = gateway.client().chat("gemma").send().await.expect_status(200).json();
        assert_eq!(reply["choices"][0]["finish_reason"], expected);
        let events = gateway.client().chat("gemma").streaming().send().await.events();
        let finish = |event: &Event| event.json()["choices"][0]["finish_reason"].clone();
        assert!(events.iter().any(|event| finish(event) == expected), "{events:?}");
    }
}

#[tokio::test]
async fn no_finish_reason_is_made_up() {
    for reason in ["load", "unload", "abort", ""] {
        let upstream = upstream(Answer::default().finish_reason(reason)).await;
        let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
        let reply = gateway.client().chat("gemma").send().await.expect_status(502);
        assert_eq!(reply.error()["code"], "incomplete_reply", "{reason}");
        let events = gateway.client().chat("gemma").streaming().send().await.events();
        assert!(!events.contains(&Event::Done), "{events:?}");
        assert_eq!(sse::error(&events).unwrap()["code"], "incomplete_stream", "{reason}");
        gateway.stop().await;
    }
}

#[tokio::test]
async fn usage_is_omitted_rather_than_invented() {
    let upstream = upstream(Answer::default().without_usage()).await;
    let gateway = Gateway::with_config(config(&[ollama(&upstream)])).start().await;
    let reply = gateway.client().chat("gemma").send().await.expect_status(200).json();
    assert!(reply["usage"].is_null(), "{reply}");
}

#[tokio::test]
async fn a_key_is_sent_when_there_is_one() {
    let upstream = upstream(Answer::default()).await;
    let deployment = with_param(ollama(&upstream), "api_key", UPSTREAM_KEY);
    let gateway = Gateway::with_config(config(&[deployment])).start().await;
    let _ = gateway.client().chat("gemma").send().await.expect_status(200);
    let expected = format!("Bearer {UPSTREAM_KEY}");
    assert_eq!(upstream.requests()[0].header("authorization"), Some(expected.as_str()));
}
