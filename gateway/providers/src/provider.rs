//! What is known of a provider. The rows are in `table`.

use super::{CallKinds, Dialect, ModelFamily, Quirks};
use std::fmt;

/// A provider known by its prefix in `litellm_params.model`.
pub struct Provider {
    /// The prefix, and the value of `custom_llm_provider`.
    pub name: &'static str,
    /// The label in limits, logs and metrics.
    pub label: &'static str,
    /// The base URL if neither the config nor a variable sets one. `{NAME}` stands for a variable.
    pub default_base: Option<&'static str>,
    /// Paths that are no base on the host of `default_base`, although configs use them.
    pub stray_paths: &'static [&'static str],
    /// Variables for a base URL; the first one that is set counts.
    pub base_env: &'static [&'static str],
    /// Variables for a key; the first one that is set counts.
    pub key_env: &'static [&'static str],
    /// Servers of this kind need no key; a dummy is sent where a header is expected.
    pub dummy_key: bool,
    /// Whether every call fails without a key.
    pub needs_key: bool,
    /// The header of the key, by the base URL.
    pub key_header: fn(&str) -> KeyHeader,
    /// The file that has the key.
    pub token_file: Option<TokenFile>,
    /// Variables for the version of the API; the first one that is set counts.
    pub version_env: &'static [&'static str],
    /// Beginnings of models' names that LiteLLM reads and no upstream knows.
    pub routes: &'static [&'static str],
    /// The family of a model, by its name.
    pub families: fn(&str) -> ModelFamily,
    pub quirks: Quirks,
    /// The kinds of calls that it serves, as far as is known.
    pub kinds: CallKinds,
    pub dialect: &'static dyn Dialect,
}

/// A file that another program writes.
#[derive(Clone, Copy, Debug)]
pub struct TokenFile {
    /// The variable for its folder.
    pub dir_env: &'static str,
    /// The usual folder, below the home folder.
    pub dir: &'static str,
    /// The variable for its name.
    pub name_env: &'static str,
    pub name: &'static str,
}

/// The header in which an upstream expects the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyHeader {
    /// `Authorization: Bearer …`
    Bearer,
    /// `api-key: …`
    ApiKey,
    /// `x-api-key: …`, at Anthropic's own API.
    XApiKey,
}

impl KeyHeader {
    /// The name, in lower case, and what stands before the key.
    #[must_use]
    pub fn name_and_scheme(self) -> (&'static str, &'static str) {
        match self {
            Self::Bearer => ("authorization", "Bearer "),
            Self::ApiKey => ("api-key", ""),
            Self::XApiKey => ("x-api-key", ""),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Provider {
    /// The path of its default base, if `path` on the same host is a common mistake for it.
    #[must_use]
    pub fn right_path(&self, path: &str) -> Option<&'static str> {
        let (_, right) = host_and_path(self.default_base?)?;
        (path != right && self.stray_paths.contains(&path)).then_some(right)
    }
}

impl Provider {
    /// A model's name without the beginning that only LiteLLM reads.
    #[must_use]
    pub fn without_route<'m>(&self, model: &'m str) -> &'m str {
        self.routes.iter().find_map(|route| model.strip_prefix(route)).unwrap_or(model)
    }
}

/// Of a default base, which has no port if it is a company's.
pub(super) fn host_and_path(base: &'static str) -> Option<(&'static str, &'static str)> {
    let rest = base.strip_prefix("https://")?;
    Some(rest.find('/').map_or((rest, ""), |at| rest.split_at(at)))
}
