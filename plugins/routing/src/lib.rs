//! The `routing` callback: chooses a provider by the requested model's name.
//!
//! A name that the config's `model_list` has goes where the list says. A name it lacks is tried
//! against rules, in order; the first that fits decides. Without settings these are:
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
//! - A rule has exactly one of `exact`, `prefix`, `suffix` (case matters), the `provider` the call
//!   goes to, and the `model` to ask for there; without `model`, the requested name.
//! - `always: true` applies a rule to names of the model list too.
//! - `otherwise: {provider: ollama}` takes what neither the list nor a rule knows; without it such
//!   a name is refused as an unknown model.
//!
//! Base URL and key are those of the config's first deployment of that provider. List `routing`
//! before callbacks that count by provider. Reading the settings is in `rules`.

mod rules;
#[cfg(test)]
mod tests;

use plugin_api::{Callback, Flow, Hook, Host, InitError, LlmCall, Rejection, Route};
use rules::{RouteTarget, Rules, Settings};

/// Where calls go whose model name the config does not settle.
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
        // Validation tells the client, in the words it has for every call without a model.
        return Ok(Flow::Continue);
    }
    let provider = target.provider.as_str();
    let route = Route { provider: Some(provider), model: Some(model), ..Route::default() };
    // Any client can ask for such a name: were it a fault, it would count against all calls.
    let refused = |_| {
        let text = format!(
            "the settings of `routing` send this model to `{provider}`, a provider this gateway does \
             not have; its operator must name one of the model list"
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
