//! The operator's own files, unchanged: they start, and work as their author meant.

use callgate_tests::{Answer, Client, Endpoint, Gateway, build, upstream};

const KEY: &str = "sk-local-admin";

const MODELS: [&str; 10] = [
    "groq-llama-3.3-70b-versatile",
    "openai-oss-120b",
    "openai-04mini",
    "moonshot-kimi-instruct-0905",
    "gpt-oss",
    "gemma3",
    "qwen3-coder",
    "lfm2.5-thinking",
    "rnj-1",
    "deepseek-r1",
];

fn seed(name: &str) -> String {
    std::fs::read_to_string(build::fixture(&format!("seed/{name}"))).unwrap()
}

#[tokio::test]
async fn the_config_starts_and_lists_its_ten_models() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(seed("config.yaml"))
        .file(".env", &seed("env.example"))
        .env("OPENAI_API_BASE", &upstream.openai_base())
        .env("OLLAMA_API_BASE", &upstream.ollama_base())
        .start()
        .await;
    let client = Client::new(gateway.address(), KEY);
    let list = client.get("/v1/models").await.expect_status(200).json();
    let ids: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap()).collect();
    assert_eq!(ids, MODELS);
    for model in &MODELS[1..] {
        let _ = client.chat(model).send().await.expect_status(200);
    }
    let sent: Vec<_> = upstream.requests().iter().map(|r| (r.path.clone(), r.model())).collect();
    assert_eq!(sent[0], ("/v1/chat/completions".to_owned(), "gpt-4o-mini".to_owned()));
    assert_eq!(sent[1], sent[0]);
    assert_eq!(sent[2], ("/api/chat".to_owned(), "moonshotai/kimi-k2-instruct-0905".to_owned()));
    assert_eq!(sent[8], ("/api/chat".to_owned(), "deepseek-r1:8b".to_owned()));
    let log = gateway.stop().await;
    let corrected = log.lines().filter(|line| line.contains("api.groq.com/openai/v1"));
    assert_eq!(corrected.count(), 1, "the wrong Groq base is mentioned once:\n{log}");
}

#[tokio::test]
async fn keys_come_from_the_env_file_unless_the_environment_has_them() {
    let upstream = upstream(Answer::default()).await;
    let base = format!("OPENAI_API_BASE={}\nOPENAI_API_KEY=sk-from-file\n", upstream.openai_base());
    for (real, expected) in [(None, "Bearer sk-from-file"), (Some("sk-real"), "Bearer sk-real")] {
        let mut setup = Gateway::with_config(seed("config.yaml")).file(".env", &base);
        if let Some(real) = real {
            setup = setup.env("OPENAI_API_KEY", real);
        }
        let gateway = setup.start().await;
        let client = Client::new(gateway.address(), KEY);
        let _ = client.chat("openai-04mini").send().await.expect_status(200);
        let sent = upstream.requests().pop().unwrap();
        assert_eq!(sent.header("authorization"), Some(expected));
    }
}

#[tokio::test]
async fn unset_keys_fail_their_calls_by_name_and_no_others() {
    let upstream = upstream(Answer::default()).await;
    let gateway = Gateway::with_config(seed("config.yaml"))
        .env("OLLAMA_API_BASE", &upstream.ollama_base())
        .start()
        .await;
    let client = Client::new(gateway.address(), KEY);
    for (model, variable) in
        [("groq-llama-3.3-70b-versatile", "GROQ_API_KEY"), ("openai-04mini", "OPENAI_API_")]
    {
        gateway.log().containing(variable).await;
        let reply = client.chat(model).send().await;
        assert!(reply.status >= 500 && reply.text().contains(variable), "{}", reply.text());
    }
    let _ = client.chat("gemma3").send().await.expect_status(200);
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn the_earlier_config_traces_to_langsmith() {
    let upstream = upstream(Answer::default()).await;
    let langsmith = Endpoint::start(|_, _| Some((202, "{}".to_owned()))).await;
    let gateway = Gateway::with_config(seed("config.langsmith.yaml"))
        .file(".env", &seed("env.example"))
        .env("OLLAMA_API_BASE", &upstream.ollama_base())
        .env("LANGSMITH_API_KEY", "ls-key")
        .env("LANGSMITH_BASE_URL", &langsmith.url())
        .start()
        .await;
    let client = Client::new(gateway.address(), KEY);
    let _ = client.chat("qwen3-coder").send().await.expect_status(200);
    let log = gateway.stop().await;
    let sent = langsmith.came(1).await.remove(0);
    assert_eq!(sent.line, "POST /api/v1/runs/batch");
    assert_eq!(sent.json()["post"][0]["inputs"]["model"], "ollama/qwen3-coder:30b");
    assert!(!log.contains("ls-key"), "{log}");
}

#[tokio::test]
async fn a_built_in_that_is_missing_is_refused_if_it_protects() {
    for (name, refused) in [("langfuse", false), ("presidio", true)] {
        for start in [false, true] {
            let missing = seed("config.langsmith.yaml").replace("langsmith", name);
            let setup = Gateway::with_config(missing).file(".env", &seed("env.example"));
            let said = if refused && start {
                setup.refused().await.stderr
            } else if refused {
                let ended = setup.check().await;
                assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
                ended.stderr
            } else if start {
                setup.start().await.stop().await
            } else {
                let ended = setup.check().await;
                assert!(ended.status.success(), "{}", ended.stderr);
                ended.stdout
            };
            let file = format!("lib{name}.so");
            let named: Vec<_> = said.lines().filter(|line| line.contains(&file)).collect();
            assert_eq!(named.len(), 1, "{said}");
            for word in ["config.yaml:", &*format!("`{name}`"), "LiteLLM", "; "] {
                assert!(named[0].contains(word), "`{word}` is missing in: {}", named[0]);
            }
        }
    }
}

#[tokio::test]
async fn the_repositorys_own_config_starts_too() {
    let own = std::fs::read_to_string(build::repository().join("config.yaml")).unwrap();
    let ended = Gateway::with_config(own)
        .env("GROQ_API_KEY", "k")
        .env("OPENAI_API_KEY", "k")
        .env("OPENAI_API_BASE", "http://127.0.0.1:9/v1");
    let ended = ended.env("LITELLM_MASTER_KEY", KEY).check().await;
    assert!(ended.status.success(), "{}{}", ended.stdout, ended.stderr);
}
