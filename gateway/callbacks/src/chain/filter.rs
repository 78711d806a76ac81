//! Which calls a callback is for: its entry's `only`, compiled.

use callgate_call::Call;
use callgate_config::Only;
use callgate_deployments::Deployments;
use plugin_api::Endpoint;
use std::borrow::Cow;

/// See the module.
#[derive(Debug)]
pub(super) struct CallFilter {
    models: Box<[Pattern]>,
    endpoints: Box<[Endpoint]>,
    keys: Box<[Pattern]>,
}

/// Text in which `*` stands for any text, the empty one too: the texts around the stars.
#[derive(Debug)]
struct Pattern(Box<[Box<str>]>);

impl CallFilter {
    /// `None` when it is for all calls.
    pub(super) fn new(only: &Only) -> Option<Self> {
        let patterns = |texts: &[String]| texts.iter().map(|text| Pattern::new(text)).collect();
        let models: Vec<_> = only.models.iter().map(|text| text.to_ascii_lowercase()).collect();
        let endpoints = only.endpoints.iter().filter_map(|name| endpoint(name)).collect();
        (*only != Only::default()).then(|| Self {
            models: patterns(&models),
            endpoints,
            keys: patterns(&only.keys),
        })
    }

    /// Whether it is for this call, by the model's name as edited so far or the config's names of
    /// the deployment that means: neither an alias, a raw name nor another case leads around it.
    pub(super) fn admits(&self, call: &Call, deployments: &Deployments) -> bool {
        let fits = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.takes_in(text))
        };
        let served = |name: &str| fits(&self.models, &in_lower_case(name));
        let behind = || {
            let Some(target) = call.planned(deployments) else { return false };
            let names = [target.public_name(), target.model_group()];
            names.into_iter().flatten().any(served)
        };
        (self.endpoints.is_empty() || self.endpoints.contains(&call.endpoint))
            && (served(call.model()) || behind())
            && fits(&self.keys, &call.key_id)
    }
}

/// Upstreams behind a wildcard may take a model's name in any case.
fn in_lower_case(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    Cow::Borrowed(name)
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

impl Pattern {
    fn new(text: &str) -> Self {
        Self(text.split('*').map(Box::from).collect())
    }

    /// Taking the leftmost place for each middle part leaves the most text for those behind it.
    fn takes_in(&self, text: &str) -> bool {
        let [first, middle @ .., last] = &*self.0 else {
            return self.0.first().is_some_and(|exact| **exact == *text);
        };
        let Some(text) = text.strip_prefix(&**first) else { return false };
        let Some(mut text) = text.strip_suffix(&**last) else { return false };
        for part in middle {
            match text.find(&**part) {
                Some(at) => text = &text[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text, expected) in [
            ("groq", "groq", true),
            ("groq", "groq2", false),
            ("*", "", true),
            ("groq-*", "groq-", true),
            ("groq-*", "my-groq-x", false),
            ("*:cloud", "gpt-oss:cloud", true),
            ("a*a", "a", false),
            ("a*b*c", "a-bb-c", true),
            ("a*b*c", "ac", false),
            ("*ab*ab*", "aab", false),
            ("ß*", "ßx", true),
        ] {
            assert_eq!(Pattern::new(pattern).takes_in(text), expected, "{pattern} {text}");
        }
    }
}
