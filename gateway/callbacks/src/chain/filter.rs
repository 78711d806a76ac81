//! Decides which calls a callback is for: its entry's `only`, compiled.

use callgate_call::Call;
use callgate_config::{ANONYMOUS, Canary, MASTER_KEY, Only};
use callgate_deployments::Deployments;
use plugin_api::{Endpoint, Pattern, in_lower_case};

/// The compiled filter.
#[derive(Debug)]
pub(super) struct CallFilter {
    models: Box<[Pattern]>,
    endpoints: Box<[Endpoint]>,
    keys: Box<[Pattern]>,
    canary: Option<Canary>,
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
            canary: only.canary,
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
            && fits(&self.keys, &call.caller.key_id)
            && self.canary.is_none_or(|it| (it.from..it.to).contains(&share(call)))
    }
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
