//! Callbacks that do almost nothing, so that a hook costs only what the gateway and the plugin
//! boundary take. `libbench_callbacks.so` exports six, without settings:
//!
//! - `noop` returns;
//! - `noop_async` returns, as a future;
//! - `noop_during` does so beside the upstream call;
//! - `reader` reads the model name and the header `x-team`;
//! - `header_setter` sets eight headers of the reply;
//! - `gate` knows everybody for an hour.

use plugin_api::{
    AsyncCallback, Auth, AuthCaller, AuthRequest, AuthResult, CallView, Callback, Flow, Hook, Host,
    InitError, LlmCall,
};
use serde::Deserialize;
use std::{hint::black_box, time::Duration};

/// Returns.
#[derive(Debug)]
pub struct Noop;

/// Is ready at once.
#[derive(Debug)]
pub struct NoopAsync;

/// Is ready at once, beside the upstream call.
#[derive(Debug)]
pub struct NoopDuring;

/// Sets headers of the reply.
#[derive(Debug)]
pub struct HeaderSetter;

/// Knows everybody.
#[derive(Debug)]
pub struct Gate;

/// Reads two fields.
#[derive(Debug)]
pub struct Reader;

/// No settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Callback for Noop {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn on_llm_start(&self, _call: &mut LlmCall<'_>) -> Hook {
        Ok(Flow::Continue)
    }
}

impl AsyncCallback for NoopAsync {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    async fn on_llm_start(&self, _call: &mut LlmCall<'_>) -> Hook {
        Ok(Flow::Continue)
    }
}

impl Callback for Reader {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        black_box((call.model(), call.header("x-team")));
        Ok(Flow::Continue)
    }
}

impl AsyncCallback for NoopDuring {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    async fn on_llm_during(&self, _call: &mut CallView<'_>) -> Hook {
        Ok(Flow::Continue)
    }
}

impl Callback for HeaderSetter {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        for name in ["x-a", "x-b", "x-c", "x-d", "x-e", "x-f", "x-g", "x-h"] {
            call.set_reply_header(name, "value")?;
        }
        Ok(Flow::Continue)
    }
}

impl Callback for Gate {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn on_auth(&self, _request: &AuthRequest<'_>) -> AuthResult {
        Ok(Auth::Caller(AuthCaller::new("bench").keep_for(Duration::from_secs(3600))))
    }
}

plugin_api::export_callbacks! {
    min_api: "1.1",
    Noop {
        name: "noop",
        kind: sync,
        hooks: [on_llm_start],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
    NoopAsync {
        name: "noop_async",
        kind: async,
        hooks: [on_llm_start],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
    Reader {
        name: "reader",
        kind: sync,
        hooks: [on_llm_start],
        reads: ["model", "headers"],
        writes: [],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
    NoopDuring {
        name: "noop_during",
        kind: async,
        hooks: [on_llm_during],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
    HeaderSetter {
        name: "header_setter",
        kind: sync,
        hooks: [on_llm_start],
        reads: [],
        writes: ["headers"],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
    Gate {
        name: "gate",
        kind: sync,
        hooks: [on_auth],
        auth_headers: ["authorization"],
        reads: [],
        writes: [],
        settings_schema: r#"{"type": "object", "additionalProperties": false}"#,
    }
}
