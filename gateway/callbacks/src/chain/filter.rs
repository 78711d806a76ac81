//! Decides which calls a callback is for: its entry's `only`, compiled.

use callgate_call::Call;
use callgate_config::Only;
use callgate_deployments::Deployments;
use plugin_api::{Endpoint, Pattern, in_lower_case};

/// The compiled filter.
#[derive(Debug)]
pub(super) struct CallFilter {
    models: Box<[Pattern]>,
    endpoints: Box<[Endpoint]>,
    keys: Box<[Pattern]>,
}

impl CallFilter {
    /// `None` if the callback is for all calls.
    pub(super) fn new(only: &Only) -> Option<Self> {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let models: Vec<_> = only.models.iter().map(|text| text.to_ascii_lowercase()).collect();
        let endpoints = only.endpoints.iter().filter_map(|name| endpoint(name)).collect();
        (*only != Only::default()).then(|| Self {
            models: patterns(&models),
            endpoints,
            keys: patterns(&only.keys),
        })
    }

    /// Whether the callback is for this call, by the model name as edited so far or the config's
    /// name of the deployment. So an alias, a raw name or other case does not bypass the filter.
    pub(super) fn admits(&self, call: &Call, deployments: &Deployments) -> bool {
        let fits = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        let served = |name: &str| fits(&self.models, &in_lower_case(name));
        let behind = || {
            let Some(target) = call.planned(deployments) else { return false };
            let names = [target.public_name(), target.model_group()];
            names.into_iter().flatten().any(served)
        };
        (self.endpoints.is_empty() || self.endpoints.contains(&call.endpoint))
            && (served(call.model()) || behind())
            && fits(&self.keys, &call.key_id)
    }
}

fn endpoint(name: &str) -> Option<Endpoint> {
    Some(match name {
        "chat" => Endpoint::CHAT,
        "completions" => Endpoint::COMPLETIONS,
        "embeddings" => Endpoint::EMBEDDINGS,
        "responses" => Endpoint::RESPONSES,
        "messages" => Endpoint::MESSAGES,
        _ => return None,
    })
}
