//! With `on_error: ignore` a failed hook has no effect: its changes are rolled back, in every hook
//! and every mode.

use crate::callbacks::faulty::{
    entry, faulty, faulty_async, faulty_blocking, recorded, seen, with, with_policy,
};
use callgate_tests::{
    Answer, Gateway,
    config::{every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::json;

#[tokio::test]
async fn edits_of_a_failed_hook_are_rolled_back() {
    let upstream = upstream(Answer::default()).await;
    let shared = json!([{"set_metadata": ["k", "lost"]}, {"set_metadata": ["kept", "lost"]}]);
    let edits = |own: serde_json::Value| {
        let mut acts = shared.as_array().unwrap().clone();
        acts.extend(own.as_array().unwrap().clone());
        acts.push(json!({"internal": "oops"}));
        json!(acts)
    };
    let acts = json!({
        "on_llm_start": edits(json!([
            {"append_message": ["user", "lost"]}, {"set_message_text": [0, "lost"]},
            {"set_param": ["seed", "1"]}, {"remove_param": "temperature"},
            {"set_upstream_header": ["x-lost", "1"]}, {"remove_upstream_header": "x-kept"},
            {"set_model": "llama"}, {"set_route": {"provider": "groq", "model": "lost"}},
        ])),
        "on_llm_new_token": edits(json!([{"chunk_text": "lost"}, "chunk_drop"])),
        "on_llm_end": edits(json!([{"reply_header": ["x-lost", "1"]}, {"reply_json": "{}"}])),
        "on_llm_error": edits(json!([{"failure_status": 418}, {"failure_message": "lost"}])),
    });
    let first = json!({"on_llm_start": [
        {"set_metadata": ["kept", "first"]}, {"set_upstream_header": ["x-kept", "1"]},
    ]});
    for make in [faulty, faulty_async, faulty_blocking] {
        let broken =
            with_policy(with(make("broken", acts.clone()), "timeout", json!("5s")), "ignore");
        let watcher = entry("recorder", "watcher", json!({"metadata": ["k", "kept"]}));
        let callbacks = json!([faulty("first", first.clone()), broken, watcher]);
        let config = with_callbacks(&every_dialect(&upstream), &callbacks);
        let gateway = Gateway::with_config(config).start().await;
        let call = |id: &str| {
            let request = gateway.client().chat("gpt").header("x-litellm-call-id", id);
            request.set("temperature", 0.5)
        };
        let reply = call("json").send().await.expect_status(200);
        assert_eq!(reply.header("x-lost"), "");
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello world!");
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.json()["messages"], json!([{"role": "user", "content": "hi"}]));
        assert_eq!((sent.json().get("seed"), &sent.json()["temperature"]), (None, &json!(0.5)));
        assert_eq!((sent.header("x-lost"), sent.header("x-kept")), (None, Some("1")));
        assert_eq!(sent.model(), "gpt-4o-mini");
        let events = call("stream").streaming().send().await.expect_status(200).events();
        assert_eq!(sse::text(&events), "Hello world!");
        upstream.push(Answer::error(500, "t", "c", "as it was"));
        let failed = call("error").send().await.expect_status(500);
        assert_eq!(failed.error()["message"], "as it was");
        let log = gateway.log().clone();
        gateway.stop().await;
        for id in ["json", "stream", "error"] {
            let lines = recorded(&log, id);
            assert!(lines.len() >= 2, "{id}");
            for line in lines {
                let metadata = (seen(&line, "metadata.k"), seen(&line, "metadata.kept"));
                assert_eq!(metadata, (String::new(), "first".to_owned()), "{}", line.text);
            }
        }
    }
}
