//! What kind of model a name stands for, and which parameters such a model refuses.

use crate::{Quirks, TokenLimit};
use callgate_json::slices;
use serde_json::{Map, Value};

/// The kind of a model at OpenAI and Azure, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ModelFamily {
    /// No reasoning model, or of another provider.
    #[default]
    Any,
    /// Takes every parameter, but only the newer name of the limit.
    NewerLimit,
    /// `o1`, `o3`, `o4-mini` and the like.
    OSeries,
    /// `gpt-5` and later.
    Gpt {
        /// Without `reasoning_effort` it does not reason, and takes sampling parameters.
        rests: bool,
    },
}

pub(crate) type RefusedParam = (&'static str, &'static [&'static str]);

/// Each parameter with the values that change nothing.
const SAMPLING: [RefusedParam; 4] = [
    ("temperature", &["1", "1.0"]),
    ("top_p", &["1", "1.0"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
];

const PENALTIES: [RefusedParam; 2] =
    [("presence_penalty", &["0", "0.0"]), ("frequency_penalty", &["0", "0.0"])];

const OF_OLDER_GPT: [RefusedParam; 6] = [
    ("stop", &["[]"]),
    ("logit_bias", &["{}"]),
    ("modalities", &[r#"["text"]"#]),
    ("prediction", &[]),
    ("audio", &[]),
    ("web_search_options", &[]),
];

impl ModelFamily {
    /// The family of a model, or of a deployment that is named after its model.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let last = name.rsplit('/').next().unwrap_or_default();
        if name.contains("gpt5_series/") {
            return Self::Gpt { rests: false };
        }
        if let Some(at) = last.find("gpt-5").or_else(|| last.find("gpt-6")) {
            let version = last.get(at + "gpt-".len()..).unwrap_or_default();
            return match version.starts_with("5-chat") || last.contains("search") {
                true => Self::NewerLimit,
                false => Self::Gpt { rests: rests(version) },
            };
        }
        let mut words = last.split(|c: char| !c.is_ascii_alphanumeric());
        let is_o =
            name.contains("o_series/") || words.any(|word| ["o1", "o3", "o4"].contains(&word));
        if is_o { Self::OSeries } else { Self::Any }
    }

    /// The provider's quirks, with those of the model.
    pub(crate) fn quirks(self, quirks: Quirks) -> Quirks {
        match self {
            Self::Any => quirks,
            _ => Quirks {
                token_limit: TokenLimit::MaxCompletionTokens,
                // Their own thoughts are secret, and those of other models mean nothing to them.
                no_reasoning_content: true,
                ..quirks
            },
        }
    }

    /// The deployment's parameters that are not sent.
    pub fn unfit(self, params: &Map<String, Value>) -> Vec<&str> {
        let text = |name: &str| params.get(name).map(Value::to_string);
        let effort = text("reasoning_effort");
        let refused = self.refused(effort.as_deref().map(str::as_bytes));
        let is_unfit = |name: &str| {
            let rule = refused.iter().find(|(refused, _)| *refused == name);
            rule.is_some_and(|(_, neutral)| {
                text(name).is_some_and(|it| changes(it.as_bytes(), neutral))
            })
        };
        params.keys().map(String::as_str).filter(|name| is_unfit(name)).collect()
    }

    /// The parameters that are refused with this `reasoning_effort`.
    pub(crate) fn refused(self, effort: Option<&[u8]>) -> Vec<RefusedParam> {
        let rests = match (self, effort.filter(|effort| *effort != b"null")) {
            (Self::Any | Self::NewerLimit, _) => return Vec::new(),
            (Self::OSeries, _) => return SAMPLING.into_iter().chain(PENALTIES).collect(),
            (Self::Gpt { .. }, Some(effort)) => effort == br#""none""#,
            (Self::Gpt { rests }, None) => rests,
        };
        let sampling = SAMPLING.into_iter().filter(|_| !rests);
        sampling.chain(PENALTIES).chain(OF_OLDER_GPT).collect()
    }
}

/// Whether a version of GPT does not reason unless it is asked to.
fn rests(version: &str) -> bool {
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let (version, rest) = version.split_at(end);
    let reasons = ["codex", "pro", "chat"].iter().any(|kind| rest.contains(kind));
    ["5.1", "5.2", "5.4"].contains(&version) && !reasons
}

/// Whether a value asks for more than nothing.
pub(crate) fn changes(json: &[u8], neutral: &[&str]) -> bool {
    !slices::is_blank(json) && !neutral.iter().any(|it| it.as_bytes() == json)
}

#[cfg(test)]
mod tests {
    use super::*;

    const O: ModelFamily = ModelFamily::OSeries;
    const GPT: ModelFamily = ModelFamily::Gpt { rests: false };
    const RESTING: ModelFamily = ModelFamily::Gpt { rests: true };

    #[test]
    fn the_name_tells_the_family() {
        for (name, family) in [
            ("gpt-4o", ModelFamily::Any),
            ("gpt-4.1-mini", ModelFamily::Any),
            ("my-deployment", ModelFamily::Any),
            ("o1", O),
            ("o3-mini-2025-01-31", O),
            ("o4-mini", O),
            ("prod-o3-eu", O),
            ("o_series/reasoner", O),
            ("foo1", ModelFamily::Any),
            ("gpt-5", GPT),
            ("gpt-5-mini-2025-08-07", GPT),
            ("gpt-5.1-codex", GPT),
            ("gpt-5.1", RESTING),
            ("gpt-5.4-mini", RESTING),
            ("gpt-5.2-pro", GPT),
            ("gpt-5.5", GPT),
            ("gpt-6-luna", GPT),
            ("ft:gpt-5-mini:org::1", GPT),
            ("azure/eu/gpt-5", GPT),
            ("gpt5_series/fast", GPT),
            ("gpt-5-chat-latest", ModelFamily::NewerLimit),
            ("gpt-5-search-api", ModelFamily::NewerLimit),
        ] {
            assert_eq!(ModelFamily::of(name), family, "{name}");
        }
    }
}
