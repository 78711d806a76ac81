//! `liar`: its export lists a hook that it does not implement, which `callgate check` must notice.

use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall};
use serde::Deserialize;

/// Implements only `on_llm_start`.
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
}
