//! Finds the deployment for a model name. Built once at startup, then only read.
//! [`Deployments::resolve`] and [`Group::choose`] run for every call: one hash lookup and one clone
//! of an `Arc`; a group of one needs no more. `config` reads the YAML, `providers` has the
//! dialects, `upstream` sends.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::HeaderMap;
use serde_json::{Map, Value};

use callgate_config::{Config, Problem, Problems, Unset};
use callgate_providers::Provider;
use callgate_secret::Secret;

mod base;
mod build;
mod certificates;
mod index;
mod infer;
mod proxies;
mod secrets;
#[cfg(test)]
mod tests;
mod weight;
mod wildcard;

pub use callgate_config::Setting;
pub use certificates::certificate_problems;
pub use proxies::proxy_warning;

use wildcard::Wildcard;

/// One configured way to serve a model name. Its `Debug` shows no secret and no free-form value.
#[derive(Clone)]
pub struct Deployment {
    /// `model_info.id`, otherwise a SHA-256 in hex that stays the same across restarts and key
    /// rotation.
    pub id: String,
    /// The public name; for a provider's stand-in (see [`Deployments::for_provider`]) its label.
    pub model_name: Arc<str>,
    /// The provider, with its dialect.
    pub provider: &'static Provider,
    /// The label in limits, logs and metrics: `groq`, `openai`, `ollama`, `openai_compatible`, …
    pub label: Arc<str>,
    /// The model's name at the upstream. Contains `*` if the model name is a wildcard that passes
    /// on its match; then use [`Chosen::upstream_model`]. Empty for a provider's stand-in.
    pub upstream_model: String,
    /// `http(s)://host…`, without a trailing slash. Never `Absent`.
    pub api_base: Setting<String>,
    /// `Absent` if the upstream needs none.
    pub api_key: Setting<Secret>,
    /// `OpenAI-Organization`.
    pub organization: Setting<String>,
    /// Further request headers; names and values are valid for HTTP.
    pub extra_headers: Vec<(String, Setting<Secret>)>,
    /// Request parameters for calls that do not set their own.
    pub params: Map<String, Value>,
    /// The unset variables in `params`.
    pub params_unset: Vec<Unset>,
    /// The limit for a whole JSON reply. Never zero.
    pub timeout: Duration,
    /// The limit between the events of a stream.
    pub stream_timeout: Duration,
    /// The limit for the first content of a stream, in place of `stream_timeout`.
    pub first_content_timeout: Option<Duration>,
    /// Whether streams ask the upstream for their usage.
    pub stream_usage: bool,
    /// Attempts after the first.
    pub num_retries: u32,
    /// The share among deployments of the same `order`; 0 is chosen only if all are 0.
    pub weight: f64,
    /// Only deployments with the lowest order of a group are chosen.
    pub order: i64,
    /// Drops parameters that the provider does not support instead of refusing the call.
    pub drop_params: bool,
    /// Parameters that are never sent.
    pub leave_out: Vec<String>,
    /// The text to reply with instead of calling the upstream.
    pub mock_response: Option<String>,
    /// `model_info` (an object), as written.
    pub model_info: Value,
    /// [`Deployment::model_info`] as text, made when a callback first asks for it.
    pub model_info_text: OnceLock<Option<String>>,
    /// The headers for every response and every request of this deployment; built on first use.
    pub answer_headers: OnceLock<HeaderMap>,
    pub request_lines: OnceLock<Box<[u8]>>,
}

impl Deployment {
    /// The `model_info` as a JSON object; `None` if there is nothing in it.
    #[must_use]
    pub fn model_info_json(&self) -> Option<&str> {
        let text = || {
            let members = self.model_info.as_object().filter(|members| !members.is_empty())?;
            serde_json::to_string(members).ok()
        };
        self.model_info_text.get_or_init(text).as_deref()
    }

    /// The first variable that this deployment requires and that is not set. A call must then fail
    /// and name it, unless a callback has replaced its value.
    #[must_use]
    pub fn first_unset(&self) -> Option<&Unset> {
        self.api_base
            .unset()
            .or_else(|| self.api_key.unset())
            .or_else(|| self.first_unset_beside_route())
    }

    /// As [`Deployment::first_unset`], without base and key, which a callback may replace.
    #[must_use]
    pub fn first_unset_beside_route(&self) -> Option<&Unset> {
        self.organization
            .unset()
            .or_else(|| self.extra_headers.iter().find_map(|(_, value)| value.unset()))
            .or_else(|| self.params_unset.first())
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("id", &self.id)
            .field("model_name", &self.model_name)
            .field("label", &self.label)
            .field("upstream_model", &self.upstream_model)
            .field("api_base", &self.api_base)
            .field("api_key", &self.api_key)
            .field("params", &self.params.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A map by names of the config, which clients cannot add to.
type ByName<T> = HashMap<Box<str>, T, foldhash::fast::RandomState>;

/// All deployments of a config, and the indexes to find them.
#[derive(Debug, Default)]
pub struct Deployments {
    /// In the order of `model_list`.
    all: Vec<Arc<Deployment>>,
    /// Exact model names and aliases.
    named: ByName<Members>,
    /// Most specific first.
    wildcards: Vec<(Wildcard, Members)>,
    /// By `litellm_params.model` as written, the last resort.
    raw: ByName<Members>,
    by_provider: ByName<Arc<Deployment>>,
    listed: Vec<Arc<str>>,
}

/// Deployments that serve one name, lowest `order` first, never empty.
#[derive(Clone, Debug, Default)]
struct Members {
    deployments: Vec<Arc<Deployment>>,
    /// The text that replaces `*`, if this is an alias for a name that a wildcard matches.
    captured: Option<Box<str>>,
}

impl Deployments {
    /// Checks every entry of `model_list`. Returns the deployments and the warnings.
    ///
    /// # Errors
    /// All problems at once, if any deployment can never work.
    pub fn from_config(config: &Config) -> Result<(Self, Vec<Problem>), Problems> {
        build::deployments(config)
    }

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
        self.raw.get(name).map(Members::group)
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

    /// All deployments, in the order of the config.
    #[must_use]
    pub fn all(&self) -> &[Arc<Deployment>] {
        &self.all
    }
}

impl Members {
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

    /// The public name of what was `chosen`, in `/v1/models` or by a wildcard, if it differs from
    /// `asked`, which is then an alias or a raw `litellm_params.model`.
    pub fn public_name(&self, chosen: &Chosen, asked: &str) -> Option<Arc<str>> {
        let name = &chosen.deployment.model_name;
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
    upstream_model: Option<String>,
}

impl Chosen {
    /// A deployment with a model name of the callback's choice.
    #[must_use]
    pub fn with_model(deployment: Arc<Deployment>, upstream_model: String) -> Self {
        Self { deployment, upstream_model: Some(upstream_model) }
    }

    /// The model name to send upstream, with a wildcard's match inserted.
    #[must_use]
    pub fn upstream_model(&self) -> &str {
        self.upstream_model.as_deref().unwrap_or(&self.deployment.upstream_model)
    }
}

fn filled(deployment: &Deployment, captured: &str) -> Option<String> {
    let (before, after) = deployment.upstream_model.split_once('*')?;
    Some([before, captured, after].concat())
}

/// `draw` is uniform in 0..1. Two passes over a few entries need no allocation.
fn weighted<'a>(
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
