//! Three callbacks of ABI 1.0 in one file: all hooks, sync and async, and all services.

mod hooks;
mod hooks_async;
mod services;

use hooks::FrozenSync;
use hooks_async::FrozenAsync;
use services::Services;

plugin_api::export_callbacks! {
    FrozenSync {
        name: "frozen_sync",
        kind: sync,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "headers", "params"],
        writes: ["messages", "params", "headers", "metadata", "chunk", "reply", "error"],
        settings_schema: r#"{
            "type": "object",
            "properties": {"mark": {"type": "string"}},
            "required": ["mark"],
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"mark": "a"}"#,
    }
    FrozenAsync {
        name: "frozen_async",
        kind: async,
        hooks: [on_llm_start, on_llm_new_token, on_llm_end, on_llm_error],
        reads: ["model", "headers", "params"],
        writes: ["messages", "params", "headers", "metadata", "chunk", "reply", "error"],
        settings_schema: r#"{
            "type": "object",
            "properties": {"mark": {"type": "string"}, "wait_ms": {"type": "integer", "minimum": 0}},
            "required": ["mark"],
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"mark": "a"}"#,
    }
    Services {
        name: "frozen_services",
        kind: async,
        hooks: [on_llm_start],
        reads: [],
        writes: [],
        needs: {
            secrets: ["FROZEN_SERVICES_KEY"],
            http_hosts: ["FROZEN_SERVICES_URL=https://frozen.example"],
        },
        settings_schema: r#"{
            "type": "object",
            "properties": {
                "url": {"type": "string"},
                "secret": {"type": "string"},
                "waits": {"type": "integer", "minimum": 0}
            },
            "required": ["url", "secret"],
            "additionalProperties": false
        }"#,
        sample_settings: r#"{"url": "http://127.0.0.1:9/", "secret": "FROZEN_SERVICES_KEY"}"#,
    }
}
