//! What an entry of Azure gets from its members and variables: the version of the API.
//! `credential` has the rest.

use super::{
    Deployment, Setting,
    base::{Base, is_version},
};
use callgate_config::{Environment, ModelEntry, Problem, UrlError, quoted};
use callgate_providers::Provider;

const NO_VERSION: &str = "expected a version such as `2024-10-21`, found something else";

/// The version of the API that the base, the entry or a variable names.
pub(super) fn api_version(
    provider: &Provider,
    entry: &ModelEntry,
    base: Option<&Base>,
    env: &Environment,
) -> Result<Setting<String>, Problem> {
    let in_base = base.and_then(|base| base.api_version.as_ref());
    if !provider.dialect.has_versions() {
        return match in_base {
            Some(_) => Err(Problem::error(entry.api_base.1.clone(), UrlError::Query.to_string())),
            None => Ok(Setting::Absent),
        };
    }
    match (&entry.azure.api_version, in_base) {
        (_, Some(version)) => Ok(Setting::Set(version.clone())),
        (Setting::Absent, None) => match faulty_variable(provider, env) {
            None => Ok(default_version(provider, base, env)),
            Some(variable) => {
                let text = format!("in the environment variable `{variable}`: {NO_VERSION}");
                Err(Problem::error(entry.place.clone(), text))
            }
        },
        (Setting::Set(version), _) if !is_version(version.trim()) => {
            let place = entry.azure.places.iter().find(|(key, _)| *key == "api_version");
            let place = place.map_or(&entry.place, |(_, place)| place).clone();
            Err(Problem::error(place, NO_VERSION))
        }
        (given, _) => Ok(given.clone().map(|version| version.trim().to_owned())),
    }
}

/// The variable whose version cannot be used.
fn faulty_variable(provider: &Provider, env: &Environment) -> Option<&'static str> {
    let variable = provider.version_env.iter().find(|it| env.filled_var(it).is_some())?;
    env.filled_var(variable).filter(|version| !is_version(version.trim())).map(|_| *variable)
}

/// The same without an entry.
pub(super) fn default_version(
    provider: &Provider,
    base: Option<&Base>,
    env: &Environment,
) -> Setting<String> {
    let in_base = base.and_then(|base| base.api_version.clone());
    let set = || provider.version_env.iter().find_map(|variable| env.filled_var(variable));
    let usable = |version: &str| is_version(version).then(|| version.to_owned());
    in_base.or_else(|| usable(set()?.trim())).map_or(Setting::Absent, Setting::Set)
}

/// A warning for each member of Azure's at another provider.
pub(super) fn without_effect(provider: &Provider, entry: &ModelEntry) -> Vec<Problem> {
    if provider.dialect.has_versions() {
        return Vec::new();
    }
    let problem = |(key, place): &(&str, _)| {
        let text = format!("`{key}` has no effect at the provider `{}`", quoted(provider.name));
        Problem::warning(Clone::clone(place), text).remedy("remove it")
    };
    entry.azure.places.iter().map(problem).collect()
}

/// Whether its streams can be asked for their usage.
pub(super) fn knows_stream_options(deployment: &Deployment) -> bool {
    let base = deployment.api_base.set().map_or("", String::as_str);
    let at = deployment.chat_address(base, &deployment.upstream_model);
    deployment.provider.dialect.knows_stream_options(&at)
}
