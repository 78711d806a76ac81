//! All deployments of a config, found by a model name. [`Deployments::resolve`] and
//! [`Group::choose`] run for every call: one hash lookup and one clone of an `Arc`; a group of one
//! needs no more.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use callgate_config::HttpUrl;
use callgate_upstream::Connector;

use super::deployment::Deployment;
use super::wildcard::Wildcard;

/// A map by names of the config, which clients cannot add to.
pub(super) type ByName<T> = HashMap<Box<str>, T, foldhash::fast::RandomState>;

/// All deployments of a config, and the indexes to find them.
#[derive(Debug, Default)]
pub struct Deployments {
    /// In the order of `model_list`.
    pub(super) all: Vec<Arc<Deployment>>,
    /// Exact model names and aliases.
    pub(super) named: ByName<GroupMembers>,
    /// Most specific first.
    pub(super) wildcards: Vec<(Wildcard, GroupMembers)>,
    /// By `litellm_params.model` as written, the last resort.
    pub(super) raw: ByName<GroupMembers>,
    pub(super) by_provider: ByName<Arc<Deployment>>,
    pub(super) listed: Vec<Arc<str>>,
    pub(super) connector: Arc<Connector>,
}

/// The model names of a config.
#[derive(Clone, Debug, Default)]
pub struct Names {
    exact: HashSet<Box<str>, foldhash::fast::RandomState>,
    wildcards: Vec<Wildcard>,
    listed: Vec<String>,
}

impl Names {
    /// Whether a call for this name finds a deployment.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.exact.contains(name) || self.wildcards.iter().any(|it| it.capture(name).is_some())
    }

    /// The public names, then the wildcards as written.
    #[must_use]
    pub fn listed(&self) -> &[String] {
        &self.listed
    }
}

/// Deployments that serve one name, lowest `order` first, never empty.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupMembers {
    pub(super) deployments: Vec<Arc<Deployment>>,
    /// The text that replaces `*`, if this is an alias for a name that a wildcard matches.
    pub(super) captured: Option<Box<str>>,
}

impl Deployments {
    /// The group for a requested `name`: alias or exact name, then the most specific wildcard, then
    /// a deployment with this `litellm_params.model`. Case matters.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &'a str) -> Option<Group<'a>> {
        if let Some(members) = self.named.get(name) {
            return Some(members.group());
        }
        for (wildcard, members) in &self.wildcards {
            if let Some(captured) = wildcard.capture(name) {
                return Some(Group { deployments: &members.deployments, captured: Some(captured) });
            }
        }
        self.raw.get(name).map(GroupMembers::group)
    }

    /// Whether only a `litellm_params.model` has this name.
    #[must_use]
    pub fn is_raw(&self, name: &str) -> bool {
        self.raw.contains_key(name)
            && !self.named.contains_key(name)
            && !self.wildcards.iter().any(|(wildcard, _)| wildcard.capture(name).is_some())
    }

    /// A deployment whose base and key serve any model of the provider with this label: the first
    /// one in the config without unset variables, otherwise the first one, otherwise a stand-in
    /// with the provider's defaults. `None` if the label is unknown or its provider has no base.
    #[must_use]
    pub fn for_provider(&self, label: &str) -> Option<&Arc<Deployment>> {
        self.by_provider.get(label)
    }

    /// The labels of the providers that calls can go to, in alphabetical order.
    pub fn providers(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = self.by_provider.keys().map(|label| &**label).collect();
        labels.sort_unstable();
        labels
    }

    /// The public names for `/v1/models`: aliases first, then model names in the order of the
    /// config; hidden aliases and wildcards are left out.
    #[must_use]
    pub fn models(&self) -> &[Arc<str>] {
        &self.listed
    }

    /// The names that [`Deployments::resolve`] finds something for.
    #[must_use]
    pub fn names(&self) -> Names {
        let exact = self.named.keys().chain(self.raw.keys()).cloned().collect();
        let wildcards: Vec<_> =
            self.wildcards.iter().map(|(wildcard, _)| wildcard.clone()).collect();
        let listed = self.listed.iter().map(ToString::to_string);
        let listed = listed.chain(wildcards.iter().map(ToString::to_string)).collect();
        Names { exact, wildcards, listed }
    }

    /// How servers are reached that callbacks choose in place of a deployment's own.
    #[must_use]
    pub fn connector(&self) -> &Arc<Connector> {
        &self.connector
    }

    /// The addresses of the proxies that lead to the upstreams of the config's entries, in
    /// alphabetical order.
    #[must_use]
    pub fn proxies(&self) -> Vec<String> {
        let called = self.all.iter().filter(|it| it.mock_response.is_none());
        let address = |it: &Arc<Deployment>| {
            let url = HttpUrl::parse(it.api_base.set()?).ok()?;
            Some(it.connector.proxies().proxy_for(&url)?.address().to_owned())
        };
        called.filter_map(address).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// All deployments, in the order of the config.
    #[must_use]
    pub fn all(&self) -> &[Arc<Deployment>] {
        &self.all
    }
}

impl GroupMembers {
    fn group(&self) -> Group<'_> {
        Group { deployments: &self.deployments, captured: self.captured.as_deref() }
    }
}

/// The deployments that serve one requested name.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    deployments: &'a [Arc<Deployment>],
    captured: Option<&'a str>,
}

impl<'a> Group<'a> {
    /// The same group under a name of its own.
    pub(super) fn to_members(self) -> GroupMembers {
        let captured = self.captured.map(Into::into);
        GroupMembers { deployments: self.deployments.to_vec(), captured }
    }

    /// Its deployments, lowest `order` first. Never empty.
    #[must_use]
    pub fn deployments(&self) -> &'a [Arc<Deployment>] {
        self.deployments
    }

    /// Chooses a deployment of the lowest `order`, by weight; with `label`, only among that
    /// provider's. `None` if none has that label.
    #[must_use]
    pub fn choose(&self, label: Option<&str>) -> Option<Chosen> {
        let deployment = match self.deployments {
            [only] if label.is_none_or(|label| *only.label == *label) => only,
            [_] => return None,
            many => weighted(many, label, fastrand::f64())?,
        };
        Some(Chosen {
            upstream_model: self.captured.and_then(|captured| filled(deployment, captured)),
            deployment: Arc::clone(deployment),
        })
    }

    /// The public name of one of its deployments, in `/v1/models` or by a wildcard, if it differs
    /// from `asked`, which is then an alias or a raw `litellm_params.model`.
    pub fn public_name(&self, deployment: &Deployment, asked: &str) -> Option<Arc<str>> {
        let name = &deployment.model_name;
        match (name.split_once('*'), self.captured) {
            (Some((before, after)), Some(captured)) => {
                let rest = asked.strip_prefix(before).and_then(|it| it.strip_suffix(after));
                (rest != Some(captured)).then(|| [before, captured, after].concat().into())
            }
            _ => (**name != *asked).then(|| Arc::clone(name)),
        }
    }
}

/// A deployment chosen for one call.
#[derive(Clone, Debug)]
pub struct Chosen {
    /// The deployment.
    pub deployment: Arc<Deployment>,
    upstream_model: Option<Arc<str>>,
}

impl Chosen {
    /// A deployment with a model name of the callback's choice.
    #[must_use]
    pub fn with_model(deployment: Arc<Deployment>, upstream_model: Arc<str>) -> Self {
        Self { deployment, upstream_model: Some(upstream_model) }
    }

    /// The model name to send upstream, with a wildcard's match inserted.
    #[must_use]
    pub fn upstream_model(&self) -> &Arc<str> {
        self.upstream_model.as_ref().unwrap_or(&self.deployment.upstream_model)
    }
}

fn filled(deployment: &Deployment, captured: &str) -> Option<Arc<str>> {
    let (before, after) = deployment.upstream_model.split_once('*')?;
    Some([before, captured, after].concat().into())
}

/// `draw` is uniform in 0..1. Two passes over a few entries need no allocation.
pub(super) fn weighted<'a>(
    deployments: &'a [Arc<Deployment>],
    label: Option<&str>,
    draw: f64,
) -> Option<&'a Arc<Deployment>> {
    let labelled = |deployment: &&Arc<Deployment>| label.is_none_or(|it| *deployment.label == *it);
    let order = deployments.iter().find(labelled)?.order;
    let candidates = || deployments.iter().filter(labelled).filter(|it| it.order == order);
    let total: f64 = candidates().map(|deployment| deployment.weight).sum();
    if total <= 0.0 {
        let count = candidates().count();
        return candidates().nth(((draw * count as f64) as usize).min(count - 1));
    }
    let mut left = draw * total;
    let mut last = None;
    for deployment in candidates().filter(|deployment| deployment.weight > 0.0) {
        left -= deployment.weight;
        last = Some(deployment);
        if left < 0.0 {
            break;
        }
    }
    last
}
