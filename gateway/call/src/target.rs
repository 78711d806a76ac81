//! The target of a call: its deployment in the config, with callbacks' changes.

use callgate_config::{Grants, HttpUrl, ServerAddress};
use callgate_deployments::{Chosen, Deployment, Deployments, Setting, TokenSource};
use callgate_secret::{Secret, names_a_secret};
use plugin_api::{EditError, Route};
use serde_json::{Map, Value};
use std::{borrow::Cow, sync::Arc};

/// The changes that callbacks want in the planned route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RouteEdit {
    /// A provider's label.
    pub(super) label: Option<Arc<str>>,
    pub(super) model: Option<Arc<str>>,
    api_base: Option<String>,
    api_key: Option<Secret>,
    /// The operator allows the config's secrets to be sent to the callback's base.
    trusted: bool,
}

/// No callback changes the route, as in most calls.
static UNCHANGED: RouteEdit =
    RouteEdit { label: None, model: None, api_base: None, api_key: None, trusted: false };

impl Default for RouteEdit {
    fn default() -> Self {
        UNCHANGED.clone()
    }
}

/// A deployment with a callback's changes applied.
#[derive(Debug, Clone)]
pub struct Target {
    chosen: Chosen,
    /// Shared, because a target is cloned and moved often.
    edit: Option<Arc<RouteEdit>>,
    /// Whether the model name's group in the config serves it, and not a provider directly.
    of_group: bool,
    /// The public name, if the call used another one: an alias or a raw name.
    public_name: Option<Arc<str>>,
}

impl RouteEdit {
    /// Applies `route` on top of earlier callbacks' changes.
    pub(super) fn apply(
        &mut self,
        route: Route<'_>,
        deployments: &Deployments,
        grants: Option<&Grants>,
    ) -> Result<(), EditError> {
        let mut edited = self.clone();
        if let Some(name) = route.provider {
            let label = callgate_providers::by_prefix(name).map_or(name, |known| known.label);
            let stand_in = deployments.for_provider(label).ok_or(EditError::NotAllowed)?;
            edited.label = Some(Arc::clone(&stand_in.label));
        }
        if let Some(model) = route.model {
            edited.model = Some(not_empty(model)?.into());
        }
        if let Some(base) = route.api_base {
            let url = HttpUrl::parse_base(base).map_err(|_| EditError::NotAllowed)?;
            edited.trusted = grants.is_some_and(|grants| grants.trusts(url.host(), url.port()));
            edited.api_base = Some(base.trim_end_matches('/').to_owned());
        }
        if let Some(key) = route.api_key {
            http::HeaderValue::from_str(key).map_err(|_| EditError::NotAllowed)?;
            edited.api_key = Some(Secret::new(&not_empty(key)?));
        }
        *self = edited;
        Ok(())
    }
}

impl Target {
    /// This deployment, as its group would choose it.
    #[must_use]
    pub fn of(deployment: Arc<Deployment>) -> Self {
        let upstream_model = Arc::clone(&deployment.upstream_model);
        let chosen = Chosen::with_model(deployment, upstream_model);
        Self { chosen, edit: None, of_group: true, public_name: None }
    }

    /// Chooses for `model`: the config's group, limited to the callback's provider if there is one;
    /// if the group has none of that provider, the provider itself with the same model name.
    pub(super) fn plan(deployments: &Deployments, model: &str, edit: &RouteEdit) -> Option<Self> {
        let label = edit.label.as_deref();
        let from_group = || {
            let group = deployments.resolve(model)?;
            let chosen = group.choose(label)?;
            let public_name = group.public_name(&chosen.deployment, model);
            Some((chosen, true, public_name))
        };
        let from_provider = || {
            let deployment = deployments.for_provider(label?)?;
            Some((Chosen::with_model(Arc::clone(deployment), model.into()), false, None))
        };
        let (chosen, of_group, public_name) = match edit.model {
            // The model is the provider's own, so the requested name's group does not apply.
            Some(_) if label.is_some() => from_provider().or_else(from_group)?,
            _ => from_group().or_else(from_provider)?,
        };
        let edit = (*edit != UNCHANGED).then(|| Arc::new(edit.clone()));
        Some(Self { chosen, edit, of_group, public_name })
    }

    fn edit(&self) -> &RouteEdit {
        self.edit.as_deref().unwrap_or(&UNCHANGED)
    }

    /// The public name of the target, if it differs from the call's model name.
    pub fn public_name(&self) -> Option<&str> {
        self.public_name.as_deref()
    }

    /// The `model_name` of the config that serves it, `*` included; `None` if a callback sent the
    /// call to a provider outside all groups.
    pub fn model_group(&self) -> Option<&str> {
        self.of_group.then(|| &*self.chosen.deployment.model_name)
    }

    pub fn deployment(&self) -> &Arc<Deployment> {
        &self.chosen.deployment
    }

    pub fn upstream_model(&self) -> &Arc<str> {
        self.edit().model.as_ref().unwrap_or_else(|| self.chosen.upstream_model())
    }

    /// The base URL; empty if the config's variable for it is not set.
    pub fn api_base(&self) -> &str {
        match (&self.edit().api_base, &self.chosen.deployment.api_base) {
            (Some(base), _) | (None, Setting::Set(base)) => base,
            _ => "",
        }
    }

    /// The base that a callback set, if any.
    pub fn callback_base(&self) -> Option<&str> {
        self.edit().api_base.as_deref()
    }

    /// Whether a callback chose another server than the deployment's. Such a server gets none of
    /// the deployment's secrets from the config, unless the operator grants it.
    pub fn is_foreign(&self) -> bool {
        let Some(base) = &self.edit().api_base else { return false };
        if self.edit().trusted {
            return false;
        }
        let own = self.chosen.deployment.api_base.set();
        own.is_none_or(|own| server(own) != server(base))
    }

    /// The key to send, if the upstream gets one.
    pub fn api_key(&self) -> Option<&Secret> {
        if let Some(key) = &self.edit().api_key {
            return Some(key);
        }
        if self.is_foreign() {
            return None;
        }
        self.chosen.deployment.api_key.set()
    }

    /// Where the token comes from that the upstream gets in place of a key.
    pub fn token_source(&self) -> Option<&Arc<TokenSource>> {
        let source = self.chosen.deployment.token_source.as_ref()?;
        (self.edit().api_key.is_none() && !self.is_foreign()).then_some(source)
    }

    /// `OpenAI-Organization`, if the upstream gets one.
    pub fn organization(&self) -> Option<&str> {
        if self.is_foreign() {
            return None;
        }
        self.chosen.deployment.organization.set().map(String::as_str)
    }

    /// The config's headers for the upstream: any of them may be a secret.
    pub fn extra_headers(&self) -> &[(String, Setting<Secret>)] {
        if self.is_foreign() { &[] } else { &self.chosen.deployment.extra_headers }
    }

    /// The config's request parameters. For a foreign server, without those whose names suggest
    /// secrets.
    pub fn params(&self) -> Cow<'_, Map<String, Value>> {
        let params = &self.chosen.deployment.params;
        if !self.is_foreign() {
            return Cow::Borrowed(params);
        }
        Cow::Owned(without_secrets(params))
    }

    /// The key that a callback set, if any.
    pub fn callback_key(&self) -> Option<&Secret> {
        self.edit().api_key.as_ref()
    }

    /// The first variable that is required and not set, unless a callback replaced its value.
    pub fn unset_variable(&self) -> Option<&str> {
        let deployment = &self.chosen.deployment;
        let base = self.edit().api_base.is_none().then(|| deployment.api_base.unset()).flatten();
        let foreign = self.is_foreign();
        let own_way = foreign || self.edit().api_key.is_some();
        let key = (!own_way).then(|| deployment.api_key.unset()).flatten();
        let beside = || deployment.first_unset_beside_route().filter(|_| !foreign);
        base.or(key).or_else(beside).map(|unset| &*unset.variable)
    }
}

fn without_secrets(params: &Map<String, Value>) -> Map<String, Value> {
    let kept = params.iter().filter(|(name, _)| !names_a_secret(name));
    kept.map(|(name, value)| {
        let value = match value {
            Value::Object(members) => Value::Object(without_secrets(members)),
            value => value.clone(),
        };
        (name.clone(), value)
    })
    .collect()
}

/// The server of a base URL; both sides were parsed when they were set.
fn server(base: &str) -> Option<ServerAddress> {
    HttpUrl::parse(base).ok().map(|url| url.server())
}

fn not_empty(text: &str) -> Result<String, EditError> {
    if text.is_empty() { Err(EditError::NotAllowed) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_name_secrets_stay_here() {
        let params = serde_json::json!({"max_tokens": 5, "aws_secret_access_key": "s",
            "deep": {"token": "t", "top_k": 1}, "user": "u"});
        let kept = without_secrets(params.as_object().unwrap());
        let expected = serde_json::json!({"max_tokens": 5, "deep": {"top_k": 1}, "user": "u"});
        assert_eq!(Value::Object(kept), expected);
    }
}
