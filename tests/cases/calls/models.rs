//! The model list: aliases first, then the order of the config; one entry by name.

use callgate_tests::{
    Answer, Gateway,
    config::{config, every_dialect},
    upstream,
};
use serde_json::{Value, json};

#[tokio::test]
async fn lists_what_can_be_called_in_configuration_order() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&every_dialect(&upstream));
    config["router_settings"] = json!({"model_group_alias":
        {"best": "gpt", "hidden": {"model": "llama", "hidden": true}}});
    let gateway = Gateway::with_config(config).start().await;
    for path in ["/v1/models", "/models"] {
        let list = gateway.client().get(path).await.expect_status(200).json();
        assert_eq!(list["object"], "list");
        let entries = list["data"].as_array().unwrap();
        let ids: Vec<_> = entries.iter().filter_map(|entry| entry["id"].as_str()).collect();
        assert_eq!(ids, ["best", "gpt", "llama", "gemma"]);
        for entry in entries {
            assert_eq!(entry["object"], "model");
            assert!(entry["created"].is_u64() && entry["owned_by"].is_string(), "{entry}");
        }
        let text = list.to_string();
        assert!(!text.contains("sk-") && !text.contains("127.0.0.1"), "{text}");
    }
    let _ = gateway.client().chat("hidden").send().await.expect_status(200);
    assert_eq!(upstream.requests()[0].model(), "llama-3.3-70b-versatile");
    let reply = gateway.client().chat("best").send().await.expect_status(200);
    assert_eq!(reply.json()["model"], "best");
}

#[tokio::test]
async fn one_model_by_name() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(config(&every_dialect(&upstream))).start().await;
    for path in ["/v1/models/gpt", "/models/gpt"] {
        let model = gateway.client().get(path).await.expect_status(200).json();
        assert_eq!((&model["id"], &model["object"]), (&json!("gpt"), &json!("model")));
    }
    let error = gateway.client().get("/v1/models/nope").await.expect_status(404).error();
    assert_eq!(error["code"], "model_not_found");
}

#[tokio::test]
async fn a_name_in_a_path_may_hold_slashes() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.openai_base();
    let named = |name: &str| callgate_tests::config::deployment(name, "openai/up", &base);
    let names = ["vendor/model", "100% é"];
    let gateway = Gateway::with_config(config(&names.map(named))).start().await;
    for (written, name) in
        [("vendor/model", names[0]), ("vendor%2Fmodel", names[0]), ("100%25%20%C3%A9", names[1])]
    {
        for prefix in ["/v1/models/", "/models/"] {
            let model = gateway.client().get(&format!("{prefix}{written}")).await;
            assert_eq!(model.expect_status(200).json()["id"], name);
        }
        for prefix in ["/engines/", "/openai/deployments/"] {
            let path = format!("{prefix}{written}/chat/completions");
            let reply = gateway.client().chat("other").path(&path).send().await;
            assert_eq!(reply.expect_status(200).json()["model"], name, "{path}");
        }
    }
    for wrong in ["%FF", "%", "%zz", "a%2"] {
        let path = format!("/engines/{wrong}/chat/completions");
        let request = gateway.client().chat("gpt").path(&path);
        let reply = request.header("x-litellm-call-id", "bad-name").send().await;
        let reply = reply.expect_status(400);
        assert_eq!(reply.header("x-litellm-call-id"), "bad-name", "{path}");
        assert!(reply.error()["message"].as_str().unwrap().contains("percent-encoded"), "{path}");
        let model = gateway.client().get(&format!("/v1/models/{wrong}")).await;
        let _ = model.expect_status(400).error();
    }
    let log = gateway.stop().await;
    assert_eq!(log.matches("\"call.id\":\"bad-name\"").count(), 4, "{log}");
}

#[tokio::test]
async fn the_list_needs_the_key() {
    let gateway = Gateway::with_config(config(&[])).start().await;
    let client = gateway.client();
    assert_eq!(
        client.get("/v1/models").await.expect_status(200).json()["data"],
        Value::Array(vec![])
    );
    let anonymous = client.without_key();
    for path in ["/v1/models", "/models", "/v1/models/gpt"] {
        let _ = anonymous.get(path).await.expect_status(401).error();
    }
}

#[tokio::test]
async fn wildcards_and_raw_names_resolve() {
    let upstream = upstream(Answer::default()).await;
    let entry = |name: &str, model: &str| {
        callgate_tests::config::deployment(name, model, &upstream.openai_base())
    };
    let models = [entry("exact", "openai/e"), entry("my/*", "openai/zz-*"), entry("*", "openai/*")];
    let gateway = Gateway::with_config(config(&models)).start().await;
    for (asked, sent) in [("exact", "e"), ("my/foo", "zz-foo"), ("anything", "anything")] {
        let reply = gateway.client().chat(asked).send().await.expect_status(200);
        assert_eq!(reply.json()["model"], asked);
        assert_eq!(upstream.requests().pop().unwrap().model(), sent, "{asked}");
    }
}

#[tokio::test]
async fn entries_are_shown_without_secrets_and_no_model_is_asked() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&every_dialect(&upstream));
    config["model_list"][0]["model_info"] =
        json!({"id": "one", "mode": "chat", "note": callgate_tests::UPSTREAM_KEY});
    config["model_list"].as_array_mut().unwrap().push(json!({"model_name": "far",
        "litellm_params": {"model": "bedrock/x", "api_key": "k"}}));
    config["model_list"].as_array_mut().unwrap().push(json!({"model_name": "unset",
        "litellm_params": {"model": "openai/x", "api_key": "os.environ/NOT_SET_ANYWHERE"}}));
    config["callgate"] =
        json!({"keys": [{"name": "ann", "key": "sk-ann-0123456789", "models": ["gemma"]}]});
    let gateway = Gateway::with_config(config).start().await;
    for path in ["/model/info", "/v1/model/info"] {
        let shown = gateway.client().get(path).await.expect_status(200);
        let (text, list) = (shown.text(), shown.json());
        assert_eq!(list["data"].as_array().map(Vec::len), Some(5), "{list}");
        let first = &list["data"][0];
        assert_eq!(
            (&first["model_name"], &first["litellm_params"]),
            (&json!("gpt"), &json!({"model": "openai/gpt-4o-mini"}))
        );
        let info = &first["model_info"];
        assert_eq!((&info["id"], &info["mode"]), (&json!("one"), &json!("chat")));
        assert!(info["supported_endpoints"].to_string().contains("/v1/embeddings"), "{info}");
        assert!(!text.contains("127.0.0.1") && !text.contains("sk-"), "{text}");
    }
    let one = gateway.client().get("/model/info?litellm_model_id=one").await.json();
    assert_eq!(one["data"].as_array().map(Vec::len), Some(1));
    let health = gateway.client().get("/health").await.expect_status(200).json();
    assert_eq!((&health["healthy_count"], &health["unhealthy_count"]), (&json!(3), &json!(2)));
    let errors = health["unhealthy_endpoints"].to_string();
    assert!(errors.contains("bedrock") && errors.contains("NOT_SET_ANYWHERE"), "{errors}");
    let ann = callgate_tests::Client::new(gateway.address(), "sk-ann-0123456789");
    for (path, list) in [("/model/info", "data"), ("/health", "healthy_endpoints")] {
        let shown = ann.get(path).await.expect_status(200).json();
        assert_eq!(shown[list].as_array().map(Vec::len), Some(1), "{shown}");
        let _ = gateway.client().without_key().get(path).await.expect_status(401);
    }
    assert_eq!(upstream.requests().len(), 0);
}
