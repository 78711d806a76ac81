//! The access log: one structured line per request, with what an operator needs and nothing the
//! users said.

use callgate_tests::config::{config, every_dialect};
use callgate_tests::{Answer, Gateway, upstream};

#[tokio::test]
async fn one_line_per_request() {
    let upstream = upstream(Answer::text(["a very private reply"])).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    let mut ids = Vec::new();
    for (model, status) in [("gpt", 200), ("llama", 200), ("gemma", 200), ("nope", 400)] {
        for stream in [false, true] {
            let id = format!("call-{model}-{stream}");
            let messages =
                serde_json::json!([{"role": "user", "content": "a very private prompt"}]);
            let request = gateway.client().chat(model).set("stream", stream);
            let request = request.set("messages", messages).header("x-litellm-call-id", &id);
            let _ = request.send().await.expect_status(status);
            ids.push((id, status));
        }
    }
    let refused =
        gateway.client().without_key().chat("gpt").header("x-litellm-call-id", "call-none");
    let _ = refused.send().await.expect_status(401);
    ids.push(("call-none".to_owned(), 401));
    let log = gateway.log().clone();
    gateway.stop().await;
    for (id, status) in &ids {
        let lines: Vec<_> = log.lines().into_iter().filter(|line| line.text.contains(id)).collect();
        let access: Vec<_> = lines.iter().filter(|line| !line.field("status").is_null()).collect();
        assert_eq!(access.len(), 1, "{id}: {lines:?}");
        assert_eq!(access[0].field("status"), *status, "{}", access[0].text);
    }
    let text = log.text();
    for private in ["private prompt", "private reply"] {
        assert!(!text.contains(private), "{text}");
    }
}
