//! Decides which calls a callback is for: its entry's `only`, `except`, `canary` and
//! `skippable_by`, compiled.

use callgate_call::Call;
use callgate_config::{ANONYMOUS, CallScope, CallbackEntry, Canary, MASTER_KEY};
use callgate_deployments::Deployments;
use callgate_providers::CallKind;
use http::HeaderName;
use plugin_api::{Pattern, in_lower_case};

/// LiteLLM's header for the tags of a request.
const TAGS: &str = "x-litellm-tags";

/// The compiled filter.
#[derive(Debug)]
pub(super) struct CallFilter {
    only: Scope,
    except: Option<Scope>,
    canary: Option<Canary>,
    skippable_by: Box<[HeaderName]>,
    /// The names by which a header can skip the callback.
    names: [Box<str>; 2],
}

/// A compiled [`CallScope`].
#[derive(Debug)]
struct Scope {
    models: Box<[Pattern]>,
    /// Whether a raw `litellm_params.model` counts as the name of a model. Clients may ask for a
    /// deployment by it, so it must not lead out of a callback.
    has_raw_names: bool,
    kinds: Box<[CallKind]>,
    paths: Box<[Pattern]>,
    keys: Box<[Pattern]>,
    users: Box<[Pattern]>,
    teams: Box<[Pattern]>,
    tags: Box<[Pattern]>,
    request_tags: Box<[Pattern]>,
    headers: Box<[(HeaderName, Box<[Pattern]>)]>,
}

impl CallFilter {
    /// `None` if the callback is for all calls.
    pub(super) fn new(entry: &CallbackEntry) -> Option<Self> {
        let is_for_all = entry.only == CallScope::default()
            && entry.except.is_none()
            && entry.canary.is_none()
            && entry.skippable_by.is_empty();
        let names = entry.skippable_by.iter().filter_map(|name| name.parse().ok());
        (!is_for_all).then(|| Self {
            only: Scope::new(&entry.only, true),
            except: entry.except.as_ref().map(|scope| Scope::new(scope, false)),
            canary: entry.canary,
            skippable_by: names.collect(),
            names: [entry.called().into(), entry.name.as_str().into()],
        })
    }

    /// Whether the callback is for this call.
    pub(super) fn admits(&self, call: &Call, deployments: &Deployments) -> bool {
        self.only.has(call, deployments)
            && !self.except.as_ref().is_some_and(|except| except.has(call, deployments))
            && self.canary.is_none_or(|it| (it.from..it.to).contains(&share(call)))
            && !self.skippable_by.iter().any(|name| self.is_skipped(call, name))
    }

    /// Whether the client skips the callback with this header: by `true` or `1`, or by a list that
    /// names it.
    fn is_skipped(&self, call: &Call, name: &HeaderName) -> bool {
        let says_so = |item: &str| {
            ["true", "1", &self.names[0], &self.names[1]]
                .iter()
                .any(|word| item.eq_ignore_ascii_case(word))
        };
        values(call, name).any(|value| value.split(',').map(str::trim).any(says_so))
    }
}

impl Scope {
    fn new(scope: &CallScope, has_raw_names: bool) -> Self {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let models: Vec<_> = scope.models.iter().map(|text| text.to_ascii_lowercase()).collect();
        let header =
            |(name, texts): &(String, Vec<String>)| Some((name.parse().ok()?, patterns(texts)));
        Self {
            models: patterns(&models),
            has_raw_names,
            kinds: scope.endpoints.iter().filter_map(|name| kind(name)).collect(),
            paths: patterns(&scope.paths),
            keys: patterns(&scope.keys),
            users: patterns(&scope.users),
            teams: patterns(&scope.teams),
            tags: patterns(&scope.tags),
            request_tags: patterns(&scope.request_tags),
            headers: scope.headers.iter().filter_map(header).collect(),
        }
    }

    /// Whether the call matches an item of each list.
    fn has(&self, call: &Call, deployments: &Deployments) -> bool {
        let caller = &*call.caller;
        (self.kinds.is_empty() || self.kinds.contains(&call.kind))
            && self.has_model(call, deployments)
            && fits(&self.paths, Some(&*call.path))
            && fits(&self.keys, Some(&*caller.key_id))
            && fits(&self.users, caller.user())
            && fits(&self.teams, caller.team())
            && fits(&self.tags, caller.tags().iter().map(String::as_str))
            && (self.request_tags.is_empty() || has_request_tag(call, &self.request_tags))
            && self.headers.iter().all(|(name, patterns)| fits(patterns, values(call, name)))
    }

    /// By the model name as edited so far or the config's name of the deployment. So an alias, a
    /// raw name or other case does not bypass the filter.
    fn has_model(&self, call: &Call, deployments: &Deployments) -> bool {
        if self.models.is_empty() {
            return true;
        }
        let served = |name: &str| fits(&self.models, Some(&*in_lower_case(name)));
        let by_name = || {
            let counts = self.has_raw_names || !deployments.is_raw(call.model());
            counts && served(call.model())
        };
        let behind = || {
            let Some(target) = call.planned(deployments) else { return false };
            let names = [target.public_name(), target.model_group()];
            names.into_iter().flatten().any(served)
        };
        by_name() || behind()
    }
}

/// Whether there are no patterns, or one matches one of the texts.
fn fits<'t>(patterns: &[Pattern], texts: impl IntoIterator<Item = &'t str>) -> bool {
    patterns.is_empty()
        || texts.into_iter().any(|text| patterns.iter().any(|pattern| pattern.matches(text)))
}

/// The values of a request header that are text.
fn values<'c>(call: &'c Call, name: &HeaderName) -> impl Iterator<Item = &'c str> {
    call.headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// Whether one of the tags that the client sent matches: in LiteLLM's header, or in `tags` or
/// `metadata.tags` of the body.
fn has_request_tag(call: &Call, patterns: &[Pattern]) -> bool {
    let in_header = call.headers.get_all(TAGS).iter().filter_map(|value| value.to_str().ok());
    fits(patterns, in_header.flat_map(|value| value.split(',')).map(str::trim))
        || ["tags", "metadata.tags"].iter().any(|member| {
            let tags = call.param(member).and_then(|json| serde_json::from_str(json).ok());
            let tags: Vec<String> = tags.unwrap_or_default();
            fits(patterns, tags.iter().map(String::as_str))
        })
}

/// The share of the callers that the call is in, from 0 to 9,999: the same for all calls of one
/// `user`, or without one for all calls of one key. If nothing tells callers apart, each call is
/// its own.
fn share(call: &Call) -> u16 {
    let user = call.body.member_text("user").filter(|user| *user != "null");
    let caller = match user {
        Some(user) => user,
        None if [ANONYMOUS, MASTER_KEY].contains(&&*call.caller.key_id) => &call.id,
        None => &call.caller.key_id,
    };
    // FNV-1a: stable across processes and versions, and evenly spread for short texts.
    let hash = caller.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The upper bits are the well mixed ones.
    u16::try_from((hash >> 32) % 10_000).unwrap_or_default()
}

fn kind(name: &str) -> Option<CallKind> {
    CallKind::ALL.into_iter().find(|kind| kind.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::{Environment, UnknownKeys, parse};
    use std::{path::Path, sync::Arc};

    const MODELS: &str = "
model_list:
- {model_name: secure, litellm_params: {model: openai/gpt-4o, api_key: k}}
- {model_name: openai-free, litellm_params: {model: openai/gpt-4o-mini, api_key: k}}
router_settings: {model_group_alias: {openai/free: openai-free}}
";

    /// Whether a callback with these keys gets a call for `model`.
    fn admits(keys: &str, model: &str) -> bool {
        let entry = format!("litellm_settings: {{callbacks: [{{name: a, {keys}}}]}}");
        let file = Arc::from(Path::new("c.yaml"));
        let text = format!("{MODELS}{entry}");
        let config = parse(&file, &text, &Environment::default(), UnknownKeys::Refuse).unwrap();
        let (deployments, _) = Deployments::from_config(&config).unwrap();
        let call = crate::sample_call::call(model).unwrap();
        CallFilter::new(&config.callbacks[0]).unwrap().admits(&call, &deployments)
    }

    #[test]
    fn a_raw_name_puts_a_call_into_a_scope_but_not_out_of_it() {
        for (keys, model, expected) in [
            ("only: {models: ['openai/*']}", "openai/gpt-4o", true),
            ("only: {models: [secure]}", "openai/gpt-4o", true),
            ("except: {models: ['openai/*']}", "secure", true),
            ("except: {models: ['openai/*']}", "openai/gpt-4o", true),
            ("except: {models: [secure]}", "openai/gpt-4o", false),
            ("except: {models: ['openai*']}", "openai/gpt-4o-mini", false),
            // The operator's alias is a name like others.
            ("except: {models: ['openai/*']}", "openai/free", false),
        ] {
            assert_eq!(admits(keys, model), expected, "{keys}: {model}");
        }
    }
}
