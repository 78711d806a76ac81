//! The `routing` callback chooses the provider by the requested model's name.
//!
//! Names in the config's `model_list` go where the list says. Other names are compared with the
//! rules in order, and the first match decides. Without settings, these are the rules:
//!
//! ```yaml
//! litellm_settings:
//!   callbacks: [routing]
//! callback_settings:
//!   routing:
//!     rules:
//!       - {prefix: groq-, provider: groq, model: llama-3.3-70b-versatile}
//!       - {prefix: openai-, provider: openai, model: gpt-4o-mini}
//! ```
//!
//! - A rule has exactly one of `exact`, `prefix` and `suffix` (case matters), the `provider` that
//!   gets the call, and the `model`'s name there, which is the requested name by default.
//! - `always: true` applies a rule to names in the model list too.
//! - `otherwise: {provider: ollama}` is the destination of all other names. Without it they are
//!   refused as unknown models.
//!
//! Base URL and key are those of the config's first deployment of that provider, else the
//! provider's defaults. List `routing` before callbacks that count by provider. `rules` reads the
//! settings.

mod rules;
#[cfg(test)]
mod tests;

use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection, Route};
use rules::{RouteTarget, Rules, Settings};

/// One instance of the callback.
#[derive(Debug)]
pub struct Routing {
    rules: Rules,
}

impl Callback for Routing {
    type Settings = Settings;

    fn new(_host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self { rules: Rules::from_settings(settings).map_err(InitError::new)? })
    }

    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let listed = call.provider().is_some();
        if listed && !self.rules.concern_listed() {
            return Ok(Flow::Continue);
        }
        match self.rules.target(call.model(), listed) {
            Some(target) => send(call, target),
            None => Ok(Flow::Continue),
        }
    }
}

fn send(call: &mut LlmCall<'_>, target: &RouteTarget) -> Hook {
    let own_name;
    let model = if let Some(model) = &target.model {
        model
    } else {
        own_name = call.model().to_owned();
        &own_name
    };
    if model.is_empty() {
        // Validation refuses a call without a model, with its usual message.
        return Ok(Flow::Continue);
    }
    let provider = target.provider.as_str();
    let route = Route { provider: Some(provider), model: Some(model), ..Route::default() };
    // A rejection, because any client can request such a name and so could open the breaker.
    let refused = |_| {
        let text = format!(
            "the settings of `routing` send this model to `{provider}`, a provider that this gateway \
             does not have; the operator must name a known provider"
        );
        Rejection::new(503, text).code("unknown_provider")
    };
    call.set_route(route).map_err(refused)?;
    Ok(Flow::Continue)
}

plugin_api::export_callbacks! {
    Routing {
        name: "routing",
        kind: sync,
        hooks: [on_llm_start],
        reads: ["model", "route"],
        writes: ["route"],
        settings_schema: include_str!("../settings.schema.json"),
    }
}
