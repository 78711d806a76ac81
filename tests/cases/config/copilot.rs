//! GitHub Copilot: the token in a file, and the headers of its calls.

use callgate_tests::{
    Answer, Gateway,
    config::{config, deployment, with_param},
    upstream,
};
use serde_json::{Value, json};

fn entry(name: &str, base: &str) -> Value {
    let params = json!({"model": "github_copilot/gpt-4.1", "api_base": base});
    json!({"model_name": name, "litellm_params": params})
}

#[tokio::test]
async fn calls_have_the_token_of_the_file_and_copilots_headers() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.ollama_base();
    let own = json!({"Editor-Version": "mine/1", "copilot-integration-id": "me"});
    let models = [
        entry("copilot", &base),
        with_param(entry("mine", &base), "extra_headers", own),
        deployment("keyed", "github_copilot/gpt-4.1", &base),
    ];
    let setup = Gateway::with_config(config(&models)).arg("--strict");
    let tokens = setup.config_path().with_file_name("tokens");
    let gateway = setup
        .file("tokens/access-token", "ghu_file000001\n")
        .env("GITHUB_COPILOT_TOKEN_DIR", &tokens.display().to_string())
        .start()
        .await;
    let picture = json!([{"role": "assistant", "content": "a"}, {"role": "user", "content":
        [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
    for (model, messages, key, initiator, vision, editor) in [
        ("copilot", None, "ghu_file000001", "user", None, "vscode/1.95.0"),
        ("copilot", Some(&picture), "ghu_file000001", "agent", Some("true"), "vscode/1.95.0"),
        ("mine", None, "ghu_file000001", "user", None, "mine/1"),
        ("keyed", None, callgate_tests::UPSTREAM_KEY, "user", None, "vscode/1.95.0"),
    ] {
        let mut call = gateway.client().chat(model);
        if let Some(messages) = messages {
            call = call.set("messages", messages.clone());
        }
        let _ = call.send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!((&*sent.path, &*sent.model()), ("/chat/completions", "gpt-4.1"));
        let bearer = format!("Bearer {key}");
        assert_eq!(sent.header("authorization"), Some(&*bearer), "{model}");
        assert_eq!(sent.header("x-initiator"), Some(initiator));
        assert_eq!(sent.header("copilot-vision-request"), vision);
        assert_eq!(sent.header("editor-version"), Some(editor));
        for name in ["user-agent", "editor-version", "copilot-integration-id"] {
            let count = sent.headers.iter().filter(|(it, _)| it.eq_ignore_ascii_case(name)).count();
            assert_eq!(count, 1, "{name}");
        }
    }
    let log = gateway.stop().await;
    assert!(!log.contains("000001"), "{log}");
}

/// An editor's login replaces the file while the gateway runs.
#[tokio::test]
async fn a_new_token_is_used_once_its_file_is_watched() {
    let upstream = upstream(Answer::default()).await;
    let mut config = config(&[entry("copilot", &upstream.ollama_base())]);
    config["callgate"] = json!({"watch": true});
    let setup = Gateway::with_config(config);
    let tokens = setup.config_path().with_file_name("tokens");
    let gateway = setup
        .file("tokens/access-token", "ghu_file000001\n")
        .env("GITHUB_COPILOT_TOKEN_DIR", &tokens.display().to_string())
        .start()
        .await;
    let _ = gateway.client().chat("copilot").send().await.expect_status(200);
    let beside = tokens.join("new");
    std::fs::write(&beside, "ghu_file000002\n").unwrap();
    std::fs::rename(&beside, tokens.join("access-token")).unwrap();
    gateway.log().containing("\"by\":\"callgate.watch\"").await;
    let _ = gateway.client().chat("copilot").send().await.expect_status(200);
    let sent = upstream.requests();
    let keys: Vec<_> = sent.iter().map(|it| it.header("authorization").unwrap()).collect();
    assert_eq!(keys, ["Bearer ghu_file000001", "Bearer ghu_file000002"]);
    let log = gateway.stop().await;
    assert!(!log.contains("00000"), "{log}");
}

#[tokio::test]
async fn without_the_file_the_entry_says_what_is_missing() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.ollama_base();
    let models = [entry("copilot", &base), deployment("gpt", "openai/m", &upstream.openai_base())];
    let setup = Gateway::with_config(config(&models));
    let tokens = setup.config_path().with_file_name("tokens").display().to_string();
    let setup = setup.env("GITHUB_COPILOT_TOKEN_DIR", &tokens);
    let gateway = setup.clone().start().await;
    let error = gateway.client().chat("copilot").send().await.expect_status(400).error();
    let said = "model `copilot` is not served by this gateway: expected an access token in the \
                file `access-token`, found no such file";
    assert_eq!((&error["message"], &error["code"]), (&json!(said), &json!("model_not_served")));
    let log = gateway.stop().await;
    let remedy = format!(
        "log in with LiteLLM once, which writes `{tokens}/access-token`, or name its folder in \
         `GITHUB_COPILOT_TOKEN_DIR`"
    );
    assert!(log.contains(&remedy), "{log}");
    let blank = setup.file("tokens/access-token", " \n").start().await.stop().await;
    assert!(blank.contains("in the file `access-token`, found something else"), "{blank}");
}
