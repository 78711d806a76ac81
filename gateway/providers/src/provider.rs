//! What is known of a provider. The rows are in `table`.

use super::{Dialect, Quirks};
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
    pub quirks: Quirks,
    pub dialect: &'static dyn Dialect,
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

/// Of a default base, which has no port if it is a company's.
pub(super) fn host_and_path(base: &'static str) -> Option<(&'static str, &'static str)> {
    let rest = base.strip_prefix("https://")?;
    Some(rest.find('/').map_or((rest, ""), |at| rest.split_at(at)))
}
