//! `liar`: its export lists a hook that it does not implement, and leaves one out that it does,
//! which the probe and `callgate check` must notice.

use plugin_api::{CallView, Callback, Flow, Hook, Host, InitError, LlmCall, LlmFailure};
use serde::Deserialize;

/// Implements `on_llm_start` and `on_llm_error`.
#[derive(Debug)]
pub struct Liar;

/// No settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

impl Callback for Liar {
    type Settings = NoSettings;

    fn new(_host: Host, _settings: NoSettings) -> Result<Self, InitError> {
        Ok(Self)
    }

    fn on_llm_start(&self, _call: &mut LlmCall<'_>) -> Hook {
        Ok(Flow::Continue)
    }
    fn on_llm_error(&self, _call: &mut CallView<'_>, _failure: &mut LlmFailure<'_>) -> Hook {
        Ok(Flow::Continue)
    }
}
