//! An entry whose model is `*` alone: the client names the provider, as in `groq/llama`. It stands
//! for one entry of each provider that has a key.

use super::Setting;
use callgate_config::{Config, ModelEntry};
use callgate_providers::{Provider, providers};
use std::borrow::Cow;

/// Serves names without a provider.
const BARE: &str = "openai";

/// The entries of the config, with those for which such an entry stands in its place.
pub(super) fn expanded(config: &Config) -> Cow<'_, [ModelEntry]> {
    if !config.models.iter().any(is_catch_all) {
        return Cow::Borrowed(&config.models);
    }
    let mut models = Vec::new();
    for entry in &config.models {
        let before = models.len();
        if is_catch_all(entry) {
            models.extend(of_providers(entry, config));
        }
        if models.len() == before {
            models.push(entry.clone());
        }
    }
    Cow::Owned(models)
}

fn is_catch_all(entry: &ModelEntry) -> bool {
    let without_server = entry.provider.is_none() && matches!(entry.api_base.0, Setting::Absent);
    entry.model_name == "*" && entry.model.0 == "*" && without_server
}

fn of_providers<'a>(
    entry: &'a ModelEntry,
    config: &'a Config,
) -> impl Iterator<Item = ModelEntry> + 'a {
    let has_key = |it: &&Provider| {
        let mut variables = it.key_env.iter();
        it.needs_key && variables.any(|name| config.environment.filled_var(name).is_some())
    };
    let of = |name: &str, provider: &Provider| {
        let mut of_provider = entry.clone();
        name.clone_into(&mut of_provider.model_name);
        of_provider.model.0 = format!("{}/*", provider.name);
        // An id is of one entry.
        of_provider.model_info.remove("id");
        of_provider
    };
    let given = !matches!(entry.api_key, Setting::Absent);
    let keyed = providers().filter(move |it| if given { it.name == BARE } else { has_key(it) });
    let free = |name: &str| config.models.iter().all(|it| it.model_name != name);
    keyed.flat_map(move |provider| {
        let pattern = format!("{}/*", provider.name);
        let prefixed = free(&pattern).then(|| of(&pattern, provider));
        prefixed.into_iter().chain((provider.name == BARE).then(|| of("*", provider)))
    })
}
