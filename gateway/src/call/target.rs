//! Where a call goes: the deployment the config gives it, as callbacks changed it.

use crate::{
    deployments::{Chosen, Deployment, Deployments, Setting},
    provider,
    secret::Secret,
};
use plugin_api::{EditError, Route};
use std::sync::Arc;

/// What callbacks want changed of the planned way.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteEdit {
    /// A provider's label.
    pub(super) label: Option<Arc<str>>,
    pub(super) model: Option<String>,
    api_base: Option<String>,
    api_key: Option<Secret>,
}

/// A deployment with a callback's changes over it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    chosen: Chosen,
    edit: RouteEdit,
    /// Whether the config's group of the model name serves it, not a provider by itself.
    of_group: bool,
    /// The public name where the call has another spelling: an alias, a raw name.
    public_name: Option<Arc<str>>,
}

impl RouteEdit {
    /// Lays `route` over what earlier callbacks wanted.
    pub(super) fn apply(
        &mut self,
        route: Route<'_>,
        deployments: &Deployments,
    ) -> Result<(), EditError> {
        let mut edited = self.clone();
        if let Some(name) = route.provider {
            let label = provider::by_prefix(name).map_or(name, |known| known.label);
            let stand_in = deployments.for_provider(label).ok_or(EditError::NotAllowed)?;
            edited.label = Some(Arc::clone(&stand_in.label));
        }
        if let Some(model) = route.model {
            edited.model = Some(not_empty(model)?);
        }
        if let Some(base) = route.api_base {
            let uri: http::Uri = base.parse().map_err(|_| EditError::NotAllowed)?;
            let scheme = uri.scheme_str();
            let host = uri.host().filter(|host| !host.is_empty()).ok_or(EditError::NotAllowed)?;
            // What `authority` has beside host and port is a user, or a port that is none.
            let plain = match uri.port_u16() {
                Some(port) => format!("{host}:{port}"),
                None => host.to_owned(),
            };
            if !matches!(scheme, Some("http" | "https"))
                || uri.authority().is_none_or(|authority| authority.as_str() != plain)
                || base.contains(['?', '#'])
            {
                return Err(EditError::NotAllowed);
            }
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
    /// Decides for `model`: the config's group, narrowed to the callback's provider when it has
    /// one; when the group has none of that provider, the provider itself with the model's name.
    pub(super) fn plan(deployments: &Deployments, model: &str, edit: &RouteEdit) -> Option<Self> {
        let label = edit.label.as_deref();
        let from_group = || {
            let group = deployments.resolve(model)?;
            let chosen = group.choose(label)?;
            let public_name = group.public_name(&chosen, model);
            Some((chosen, true, public_name))
        };
        let from_provider = || {
            let deployment = deployments.for_provider(label?)?;
            Some((Chosen::with_model(Arc::clone(deployment), model.to_owned()), false, None))
        };
        let (chosen, of_group, public_name) = match edit.model {
            // A model of the provider's own, so the group of the requested name has no say.
            Some(_) if label.is_some() => from_provider().or_else(from_group)?,
            _ => from_group().or_else(from_provider)?,
        };
        Some(Self { chosen, edit: edit.clone(), of_group, public_name })
    }

    /// The public name of what serves the call, where that is not the call's own model name.
    pub(crate) fn public_name(&self) -> Option<&str> {
        self.public_name.as_deref()
    }

    /// The `model_name` of the config that serves it, `*` included; `None` when a callback sent it
    /// to a provider beside all groups.
    pub(crate) fn model_group(&self) -> Option<&str> {
        self.of_group.then(|| &*self.chosen.deployment.model_name)
    }

    pub(crate) fn deployment(&self) -> &Arc<Deployment> {
        &self.chosen.deployment
    }

    pub(crate) fn upstream_model(&self) -> &str {
        self.edit.model.as_deref().unwrap_or_else(|| self.chosen.upstream_model())
    }

    /// Empty when the config's variable for it is not set.
    pub(crate) fn api_base(&self) -> &str {
        match (&self.edit.api_base, &self.chosen.deployment.api_base) {
            (Some(base), _) | (None, Setting::Set(base)) => base,
            _ => "",
        }
    }

    /// The base a callback set, if one did.
    pub(crate) fn callback_base(&self) -> Option<&str> {
        self.edit.api_base.as_deref()
    }

    /// The key to send, if the upstream gets one. A base that a callback set never gets the key
    /// that the config holds for another base.
    pub(crate) fn api_key(&self) -> Option<&Secret> {
        match (&self.edit.api_key, &self.edit.api_base, &self.chosen.deployment.api_key) {
            (Some(key), _, _) | (None, None, Setting::Set(key)) => Some(key),
            _ => None,
        }
    }

    /// Whether a callback set the key.
    pub(crate) fn has_callback_key(&self) -> bool {
        self.edit.api_key.is_some()
    }

    /// The first variable that is needed and not set, unless a callback replaced what it feeds.
    pub(crate) fn unset_variable(&self) -> Option<&str> {
        let deployment = &self.chosen.deployment;
        let base = self.edit.api_base.is_none().then(|| deployment.api_base.unset()).flatten();
        let own_way = self.edit.api_base.is_some() || self.edit.api_key.is_some();
        let key = (!own_way).then(|| deployment.api_key.unset()).flatten();
        base.or(key).or_else(|| deployment.first_unset_beside_route()).map(|unset| &*unset.variable)
    }
}

fn not_empty(text: &str) -> Result<String, EditError> {
    if text.is_empty() { Err(EditError::NotAllowed) } else { Ok(text.to_owned()) }
}
