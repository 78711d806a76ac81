//! The five callbacks: a sync one, an async one, one that sometimes panics and is restarted, one
//! with its own threads, one that sometimes rejects a call.

use callgate::{boot, cli::Source};
use callgate_callbacks::{AssumedReply, DryRun};
use callgate_tests::{build, config};
use http::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const CALLBACKS: usize = 5;

/// At least so many calls are rejected, and so many panic.
const REFUSED_OF: usize = 50;
const PANICS: usize = 50;

/// The chain for a number of calls.
pub(crate) struct Callbacks {
    calls: usize,
}

impl Callbacks {
    pub(crate) fn new(calls: usize) -> Self {
        Self { calls }
    }

    pub(crate) fn config(&self, api_base: &str) -> Value {
        let models = ["usual", "slow"].map(|name| config::deployment(name, "openai/m", api_base));
        let mut config = config::with_callbacks(&models, &self.entries());
        config["callgate"] = json!({"probe": "never"});
        config
    }

    /// The chain in this process, for calls of `model`.
    pub(crate) fn dry_run(&self, model: &str) -> DryRun {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, self.config("http://127.0.0.1:9/v1").to_string()).unwrap();
        let source = Source::of(path, None, None);
        let (deployments, plugins) = boot::build(&source, None).unwrap().into_made();
        let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
        let body = body.to_string().into_bytes();
        DryRun::new(plugins, Arc::new(deployments), HeaderMap::new(), body).unwrap()
    }

    fn entries(&self) -> Value {
        let edits = json!({
            "on_llm_start": [{"set_metadata": ["k", "v"]}, {"append_message": ["user", "more"]}],
            "on_llm_new_token": ["chunk_upper"],
            "on_llm_end": [{"set_local": "note"}],
            "on_llm_error": [{"set_metadata": ["k", "w"]}],
        });
        let panics = json!({
            "every": (self.calls / PANICS).max(1),
            "on_llm_start": [{"panic": "now and then"}],
        });
        let refuses = json!({
            "every": REFUSED_OF,
            "on_llm_start": [{"reject": {"status": 418, "message": "now and then"}}],
        });
        let mut blocking = entry("faulty", "blocking", edits.clone());
        blocking["mode"] = json!("blocking");
        blocking["timeout"] = json!("1h");
        blocking["only"] = json!({"models": ["slow"]});
        let mut waiting = entry("faulty_async", "async", edits.clone());
        waiting["timeout"] = json!("1h");
        json!([
            entry("faulty", "sync", edits),
            waiting,
            entry("faulty", "panics", panics),
            blocking,
            entry("faulty", "refuses", refuses),
        ])
    }
}

fn entry(name: &str, label: &str, mut settings: Value) -> Value {
    settings["label"] = json!(label);
    json!({
        "name": name, "path": build::plugin("faulty"), "instance": label, "settings": settings,
        "breaker": false,
    })
}

pub(crate) fn json_answer() -> AssumedReply {
    let message = json!({"role": "assistant", "content": "Hello world!"});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop"});
    AssumedReply::Json(json!({"object": "chat.completion", "choices": [choice]}))
}

pub(crate) fn stream_answer() -> AssumedReply {
    let chunk = |text| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
        json!({"object": "chat.completion.chunk", "choices": [choice]})
    };
    AssumedReply::Chunks(["Hello", " world", "!"].map(chunk).to_vec())
}
