//! What a provider's variables and its row give to an entry without its own base or key.

use super::{
    Setting,
    base::{self, Base},
};
use callgate_config::{Environment, Unset};
use callgate_providers::Provider;
use callgate_secret::Secret;
use std::sync::Arc;

/// For servers that ignore the key but whose client libraries require one.
const DUMMY_KEY: &str = "fake-api-key";

/// The base from the provider's variables or its default; the error names the variable. `None` if
/// there is none.
pub(super) fn provider_base(
    provider: &Provider,
    env: &Environment,
    path: &str,
) -> Option<Result<Setting<Base>, (&'static str, base::BaseError)>> {
    let parsed = |text: &str| base::parse(text).map(Setting::Set);
    for variable in provider.base_env {
        if let Some(text) = env.filled_var(variable) {
            return Some(parsed(text).map_err(|error| (*variable, error)));
        }
    }
    let default = provider.default_base?;
    match filled(default, env) {
        Ok(text) => Some(parsed(&text).map_err(|error| (provider.name, error))),
        Err(variable) => {
            Some(Ok(Setting::Unset(Unset { variable: Arc::from(variable), path: Arc::from(path) })))
        }
    }
}

/// A base with the value of the variable in its `{NAME}`; the error is the variable, if unset.
fn filled<'d>(default: &'d str, env: &Environment) -> Result<String, &'d str> {
    let parts = default.split_once('{').and_then(|(before, rest)| {
        let (variable, after) = rest.split_once('}')?;
        Some((before, variable, after))
    });
    let Some((before, variable, after)) = parts else { return Ok(default.to_owned()) };
    let value = env.filled_var(variable).ok_or(variable)?;
    Ok([before, value.trim(), after].concat())
}

/// A compatible server of unknown kind has no variables, and never gets another provider's key.
pub(super) fn provider_key(provider: &Provider, env: &Environment, path: &str) -> Setting<Secret> {
    let mut variables = provider.key_env.iter();
    if let Some(key) = variables.find_map(|variable| env.filled_var(variable)) {
        return Setting::Set(Secret::new(key.trim()));
    }
    if provider.dummy_key {
        return Setting::Set(Secret::new(DUMMY_KEY));
    }
    match provider.key_env.first() {
        Some(variable) if provider.needs_key => {
            Setting::Unset(Unset { variable: Arc::from(*variable), path: Arc::from(path) })
        }
        _ => Setting::Absent,
    }
}
