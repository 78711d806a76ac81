//! Callbacks that do almost nothing, so that a hook costs only what the gateway and the plugin
//! boundary take. `libbench_callbacks.so` exports three, without settings:
//!
//! - `noop` returns;
//! - `noop_async` returns, as a future;
//! - `reader` reads the model name and the header `x-team`.

use plugin_api::{AsyncCallback, Callback, Flow, Hook, Host, InitError, LlmCall};
use serde::Deserialize;
use std::hint::black_box;

/// Returns.
#[derive(Debug)]
pub struct Noop;

/// Is ready at once.
#[derive(Debug)]
pub struct NoopAsync;

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

plugin_api::export_callbacks! {
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
}
