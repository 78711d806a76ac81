//! `liar`: its export lists a hook it does not implement, which `callgate check` must notice.

use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall};
use serde::Deserialize;

/// Implements `on_llm_start` alone.
#[derive(Debug)]
pub struct Liar;

/// None.
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
}
