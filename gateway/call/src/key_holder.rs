//! The holder of a key: who it is, and what it may do. The config describes some, and callbacks
//! with `on_auth` the others.

use crate::{Caller, CallerProblem};
use callgate_config::{ClientKey, KeyScopes};
use callgate_deployments::Deployments;
use plugin_api::{AuthCaller, AuthScope, Pattern, in_lower_case};
use std::sync::Arc;

/// The holder of one key.
#[derive(Debug, Clone)]
pub struct KeyHolder {
    pub caller: Arc<Caller>,
    /// Model names in lower case; `None` for all.
    models: Option<Box<[Pattern]>>,
    /// In ms since 1970.
    pub expires_ms: Option<u64>,
    pub scopes: KeyScopes,
}

impl KeyHolder {
    /// A holder who may call every model.
    #[must_use]
    pub fn of_all_models(key_id: &str, scopes: KeyScopes) -> Self {
        let caller = Arc::new(Caller::with_key_id(key_id));
        Self { caller, models: None, expires_ms: None, scopes }
    }

    /// The holder of a key of the config.
    #[must_use]
    pub fn of(key: &ClientKey) -> Self {
        Self {
            caller: Arc::new(Caller::of(key)),
            models: (!key.models.is_empty()).then(|| patterns(&key.models)),
            expires_ms: key.expires_ms,
            scopes: key.scopes,
        }
    }

    /// The caller that a callback describes.
    ///
    /// # Errors
    /// If a text is too long, or cannot be shown.
    pub fn described(caller: AuthCaller) -> Result<Self, CallerProblem> {
        let scopes = match &caller.scopes {
            None => KeyScopes { calls: true, metrics: false, admin: false },
            Some(given) => KeyScopes {
                calls: given.contains(&AuthScope::Calls),
                metrics: given.contains(&AuthScope::Metrics),
                admin: given.contains(&AuthScope::Admin),
            },
        };
        let models = caller.models.as_deref().map(patterns);
        let caller = Arc::new(Caller::described(caller)?);
        Ok(Self { caller, models, expires_ms: None, scopes })
    }

    /// The models that it may call, as patterns.
    #[must_use]
    pub fn models(&self) -> &[Pattern] {
        self.models.as_deref().unwrap_or_default()
    }

    /// Whether the holder may call the model: by the name itself, or by the public name of every
    /// deployment that it means, if it is another name for them. A raw `litellm_params.model`
    /// counts only by these public names, because nobody lists it for callers.
    #[must_use]
    pub fn may_call(&self, name: &str, deployments: &Deployments) -> bool {
        let Some(models) = &self.models else { return true };
        let fits = |name: &str| {
            let name = in_lower_case(name);
            models.iter().any(|pattern| pattern.matches(&name))
        };
        if fits(name) && !deployments.is_raw(name) {
            return true;
        }
        let Some(group) = deployments.resolve(name) else { return false };
        group.deployments().iter().all(|deployment| {
            group.public_name(deployment, name).is_some_and(|public| fits(&public))
        })
    }
}

fn patterns(names: &[String]) -> Box<[Pattern]> {
    names.iter().map(|name| Pattern::new(&in_lower_case(name))).collect()
}
