//! Every config key that LiteLLM knows, and what becomes of it here. This is the one table: the
//! readers of the sections look up what they do not read, `callgate check` lists it for a config,
//! and `docs/litellm-keys.md` and the editors' JSON Schema are made from it.
//!
//! A name may begin or end with `*` for any text. Keys that only this gateway has are not here:
//! the readers of their sections name them.

mod general_settings;
mod litellm_params;
mod litellm_settings;
mod model_info;
mod reasons;
mod router_settings;
mod standing;
#[cfg(test)]
mod tests;
mod top_level;

use callgate_providers::gateway_members::is_own;
pub(crate) use reasons::SILENCE;
pub(crate) use standing::KeyGroup;
pub use standing::{ReportedKey, Standing};

/// A mapping of LiteLLM's config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySection {
    TopLevel,
    /// An entry of `model_list`.
    Entry,
    LitellmParams,
    ModelInfo,
    LitellmSettings,
    RouterSettings,
    GeneralSettings,
    /// A mapping that LiteLLM does not have.
    Own,
}

impl KeySection {
    pub(crate) const LITELLMS: [Self; 7] = [
        Self::TopLevel,
        Self::Entry,
        Self::LitellmParams,
        Self::ModelInfo,
        Self::LitellmSettings,
        Self::RouterSettings,
        Self::GeneralSettings,
    ];

    pub(crate) const fn groups(self) -> &'static [KeyGroup] {
        match self {
            Self::TopLevel => top_level::TOP_LEVEL,
            Self::Entry => top_level::ENTRY,
            Self::LitellmParams => litellm_params::LITELLM_PARAMS,
            Self::ModelInfo => model_info::MODEL_INFO,
            Self::LitellmSettings => litellm_settings::LITELLM_SETTINGS,
            Self::RouterSettings => router_settings::ROUTER_SETTINGS,
            Self::GeneralSettings => general_settings::GENERAL_SETTINGS,
            Self::Own => &[],
        }
    }

    /// What becomes of `key` in this mapping; `None` if LiteLLM does not have it there.
    pub(crate) fn standing(self, key: &str) -> Option<Standing> {
        let found = self.groups().iter().find(|group| group.has(key)).map(|group| group.standing);
        // LiteLLM's bookkeeping of a call, which has no place in a config.
        let bookkeeping = || matches!(self, Self::LitellmParams) && is_own(key);
        found.or_else(|| {
            let text = "LiteLLM sets it itself for each call; it is never sent upstream";
            bookkeeping().then_some(Standing::Harmless(text))
        })
    }

    /// The names without `*`.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
        self.groups().iter().flat_map(KeyGroup::names).filter(|name| !name.contains('*'))
    }

    /// The name of another mapping that has `key`, though this one has not.
    pub(crate) fn elsewhere(self, key: &str) -> Option<&'static str> {
        const SECTIONS: &[(KeySection, &str)] = &[
            (KeySection::LitellmSettings, "litellm_settings"),
            (KeySection::RouterSettings, "router_settings"),
            (KeySection::GeneralSettings, "general_settings"),
        ];
        let others: &[_] = match self {
            Self::Entry => {
                &[(Self::LitellmParams, "litellm_params"), (Self::ModelInfo, "model_info")]
            }
            Self::LitellmParams => &[(Self::ModelInfo, "model_info")],
            Self::ModelInfo | Self::Own => &[],
            Self::TopLevel
            | Self::LitellmSettings
            | Self::RouterSettings
            | Self::GeneralSettings => SECTIONS,
        };
        let mut others = others.iter().filter(|(section, _)| *section != self);
        others.find(|(section, _)| section.standing(key).is_some()).map(|(_, name)| *name)
    }
}

/// The key of this name that protects, in whatever section, with its effect and what to use
/// instead.
pub(crate) fn protecting(key: &str) -> Option<(&'static str, &'static str, &'static str)> {
    protections().find(|(name, ..)| *name == key)
}

/// All keys that protect: name, effect, what to use instead.
pub(crate) fn protections() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let groups = KeySection::LITELLMS.into_iter().flat_map(KeySection::groups);
    groups.flat_map(|group| {
        let protects = match group.standing {
            Standing::Protects { effect, instead } => Some((effect, instead)),
            _ => None,
        };
        group.names().filter_map(move |name| protects.map(|(it, other)| (name, it, other)))
    })
}
