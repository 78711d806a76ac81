//! What one callback may use of the host: secrets by name, hosts by pattern.
//!
//! The config's `grants` set them. A manifest's `needs` are granted by listing the callback, but
//! only if they are clearly its own: variables that begin with its name, and the hosts of the URLs
//! in them. Naming a plugin must not give it other keys.

use callgate_config::{Environment, Grants, HostPattern, HttpUrl};
use callgate_secret::{Masking, Secrets};
use plugin_api::{HostError, HostErrorKind, Pattern};
use std::collections::BTreeSet;

/// The permissions of one callback.
#[derive(Clone, Debug, Default)]
pub struct Permissions {
    secrets: BTreeSet<String>,
    hosts: Vec<HostPattern>,
    /// Patterns of model names.
    models: Vec<String>,
    environment: Environment,
    /// Whether everything counts as granted when a callback only asks.
    is_probe: bool,
    /// Masks the secrets that it is given.
    masking: Masking,
}

/// The needs in a manifest.
#[derive(Clone, Copy, Debug)]
pub struct Needs<'a> {
    /// Its name in the config.
    pub callback: &'a str,
    pub secrets: &'a [String],
    pub http_hosts: &'a [String],
}

/// A need that neither the rule nor the config grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingGrant {
    pub text: String,
    pub remedy: String,
}

impl Permissions {
    /// The permissions of an entry with `grants` whose plugin has `needs`; and the missing grants.
    pub fn new(
        grants: &Grants,
        needs: Needs<'_>,
        environment: &Environment,
    ) -> (Self, Vec<MissingGrant>) {
        let mut missing = Vec::new();
        let mut permissions = Self {
            secrets: grants.secrets.iter().cloned().collect(),
            hosts: grants.http_hosts.clone(),
            models: grants.models.clone(),
            environment: environment.clone(),
            is_probe: false,
            masking: Masking::default(),
        };
        for name in needs.secrets {
            if is_own(needs.callback, name) {
                permissions.secrets.insert(name.clone());
            } else if !permissions.secrets.contains(name) {
                missing.push(MissingGrant {
                    text: format!("it asks for the variable `{name}`, which is not granted"),
                    remedy: format!("add `{name}` to `grants.secrets` of the entry"),
                });
            }
        }
        for need in needs.http_hosts {
            permissions.need_host(need, needs.callback, &mut missing);
        }
        (permissions, missing)
    }

    /// For a probe, which knows no grants: a callback that asks is told that it may do everything,
    /// so that its constructor goes on, but it gets nothing.
    #[must_use]
    pub fn of_a_probe() -> Self {
        Self { is_probe: true, ..Self::default() }
    }

    /// Whether a callback with these permissions has the same, values of secrets included.
    #[must_use]
    pub fn grant_the_same_as(&self, other: &Self) -> bool {
        let value = |it: &Self, name: &String| it.environment.filled_var(name).map(str::to_owned);
        self.secrets == other.secrets
            && self.hosts == other.hosts
            && self.models == other.models
            && self.secrets.iter().all(|name| value(self, name) == value(other, name))
    }

    /// Adds the secrets of the entry's settings to the mask.
    pub fn with_settings(mut self, settings: &serde_json::Value) -> Self {
        let mut secrets = Secrets::default();
        secrets.add_member("", settings);
        let granted = self.secrets.iter().filter_map(|name| self.environment.filled_var(name));
        granted.for_each(|value| secrets.add(value));
        self.masking = secrets.masking();
        self
    }

    /// Masks granted secrets and secret settings in a text.
    pub fn masking(&self) -> &Masking {
        &self.masking
    }

    /// Grants `VARIABLE=URL`: the variable, and the host in its URL, or in this one if it is not
    /// set.
    fn need_host(&mut self, need: &str, callback: &str, missing: &mut Vec<MissingGrant>) {
        let (variable, default) = need.split_once('=').unwrap_or((need, ""));
        let own = is_own(callback, variable);
        if own {
            // The callback sends its requests there, so it must be able to read the URL.
            self.secrets.insert(variable.to_owned());
        }
        let set = if own { self.environment.filled_var(variable) } else { None };
        let url = set.unwrap_or(default).trim();
        let Ok(url) = HttpUrl::parse(url) else {
            // The value is not shown, because it may hold a key.
            if set.is_some() {
                missing.push(MissingGrant {
                    text: format!("expected a URL in `{variable}`, found something else"),
                    remedy: format!("set `{variable}` to a URL such as `https://host/path`"),
                });
            }
            return;
        };
        let (host, port) = (url.host(), url.port());
        if own {
            self.hosts.push(HostPattern::exactly(host, port));
        } else if !self.reach(host, port) {
            missing.push(MissingGrant {
                text: format!("it asks for the host `{host}`, which is not granted"),
                remedy: format!("add `{host}` to `grants.http_hosts` of the entry"),
            });
        }
    }

    /// Whether requests to this host are allowed.
    pub fn reach(&self, host: &str, port: u16) -> bool {
        self.is_probe || self.hosts.iter().any(|pattern| pattern.matches(host, port))
    }

    /// Whether the callback may call this model.
    pub(super) fn call(&self, model: &str) -> Result<(), HostError> {
        if self.is_probe || self.models.iter().any(|granted| Pattern::new(granted).matches(model)) {
            return Ok(());
        }
        let shown =
            callgate_telemetry::one_line(&model[..model.floor_char_boundary(64)]).into_owned();
        let text = format!(
            "the model `{shown}` is not granted to this callback; add it to `grants.models` of its entry"
        );
        Err(HostError::new(HostErrorKind::NOT_GRANTED, text))
    }

    /// Whether a variable is granted and set.
    pub(super) fn has_secret(&self, name: &str) -> bool {
        let is_set = || self.environment.filled_var(name).is_some();
        self.is_probe || (self.secrets.contains(name) && is_set())
    }

    /// The value of a granted variable.
    pub(super) fn secret(&self, name: &str) -> Result<String, HostError> {
        if !self.secrets.contains(name) {
            let shown =
                callgate_telemetry::one_line(&name[..name.floor_char_boundary(64)]).into_owned();
            let text = format!(
                "the variable `{shown}` is not granted to this callback; add it to `grants.secrets` of its entry"
            );
            return Err(HostError::new(HostErrorKind::NOT_GRANTED, text));
        }
        self.environment.filled_var(name).map(str::to_owned).ok_or_else(|| {
            HostError::new(HostErrorKind::NOT_SET, format!("the variable `{name}` is not set"))
        })
    }

    #[cfg(test)]
    pub(super) fn for_hosts(hosts: &[&str]) -> Self {
        let hosts = hosts.iter().filter_map(|host| HostPattern::parse(host)).collect();
        Self { hosts, ..Self::default() }
    }
}

/// Prefixes of variables that a plugin must not get through its name alone, in addition to
/// [`callgate_providers::prefixes`].
const RESERVED: [&str; 16] = [
    "anthropic",
    "aws",
    "azure",
    "callgate",
    "cohere",
    "deepseek",
    "gcp",
    "gemini",
    "github",
    "google",
    "huggingface",
    "litellm",
    "mistral",
    "openrouter",
    "vertex",
    "xai",
];

/// Whether a variable is clearly the callback's own: `LANGSMITH_API_KEY` belongs to `langsmith`. A
/// callback named like a provider or the gateway owns none, because those variables hold other
/// keys.
fn is_own(callback: &str, variable: &str) -> bool {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let prefix: String = callback.chars().map(upper).collect();
    let taken = |name: &str| {
        let name: String = name.chars().map(upper).collect();
        prefix == name
            || prefix.starts_with(&format!("{name}_"))
            || name.starts_with(&format!("{prefix}_"))
    };
    let reserved = RESERVED.into_iter().chain(callgate_providers::prefixes());
    let owner = prefix.len() > 1 && !reserved.into_iter().any(taken);
    owner
        && variable
            .strip_prefix(&*prefix)
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs<'a>(callback: &'a str, secrets: &'a [String], http_hosts: &'a [String]) -> Needs<'a> {
        Needs { callback, secrets, http_hosts }
    }

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|item| (*item).to_owned()).collect()
    }

    #[test]
    fn only_variables_that_begin_with_its_name_are_its_own() {
        for (callback, variable, own) in [
            ("langsmith", "LANGSMITH_API_KEY", true),
            ("my-logger", "MY_LOGGER_TOKEN", true),
            ("langsmith", "LANGSMITHX_API_KEY", false),
            ("langsmith", "LANGSMITH_", false),
            ("langsmith", "LANGSMITH", false),
            ("langsmith", "OPENAI_API_KEY", false),
            ("openai", "OPENAI_API_KEY", false),
            ("openai_compatible", "OPENAI_COMPATIBLE_KEY", false),
            ("litellm", "LITELLM_MASTER_KEY", false),
            ("aws", "AWS_SECRET_ACCESS_KEY", false),
            ("litellm_master", "LITELLM_MASTER_KEY", false),
            ("groq", "GROQ_API_KEY", false),
            ("hosted", "HOSTED_VLLM_API_KEY", false),
            ("", "_X", false),
            ("a", "A_KEY", false),
        ] {
            assert_eq!(is_own(callback, variable), own, "{callback} {variable}");
        }
    }

    #[test]
    fn own_needs_are_granted_and_others_reported() {
        let environment = Environment::from_pairs([
            ("LANGSMITH_API_KEY", "ls-secret"),
            ("LANGSMITH_BASE_URL", "http://127.0.0.1:1984/base"),
            ("OPENAI_API_KEY", "sk-secret"),
            ("BLANK", " "),
        ]);
        let secrets = list(&["LANGSMITH_API_KEY", "OPENAI_API_KEY", "BLANK"]);
        let hosts = list(&[
            "LANGSMITH_BASE_URL=https://api.smith.langchain.com",
            "LANGSMITH_OTHER=https://other.example:444",
            "EVIL_URL=https://evil.example",
        ]);
        let grants = Grants { secrets: list(&["BLANK"]), ..Grants::default() };
        let (permissions, missing) =
            Permissions::new(&grants, needs("langsmith", &secrets, &hosts), &environment);
        let kind = |name| permissions.secret(name).map_err(|error| error.kind);
        assert_eq!(kind("LANGSMITH_API_KEY").as_deref(), Ok("ls-secret"));
        assert_eq!(kind("LANGSMITH_BASE_URL").as_deref(), Ok("http://127.0.0.1:1984/base"));
        assert_eq!(kind("LANGSMITH_OTHER"), Err(HostErrorKind::NOT_SET));
        assert_eq!(kind("EVIL_URL"), Err(HostErrorKind::NOT_GRANTED));
        assert_eq!(kind("OPENAI_API_KEY"), Err(HostErrorKind::NOT_GRANTED));
        assert_eq!(kind("BLANK"), Err(HostErrorKind::NOT_SET));
        assert_eq!(kind("HOME"), Err(HostErrorKind::NOT_GRANTED));
        for (host, port, may) in [
            ("127.0.0.1", 1984, true),
            ("127.0.0.1", 80, false),
            ("api.smith.langchain.com", 443, false),
            ("other.example", 444, true),
            ("evil.example", 443, false),
        ] {
            assert_eq!(permissions.reach(host, port), may, "{host}:{port}");
        }
        let told: Vec<_> = missing.iter().map(|it| it.text.as_str()).collect();
        assert_eq!(
            told,
            [
                "it asks for the variable `OPENAI_API_KEY`, which is not granted",
                "it asks for the host `evil.example`, which is not granted",
            ]
        );
        assert!(!format!("{permissions:?}").contains("secret\""), "{permissions:?}");
    }

    #[test]
    fn a_variable_without_a_url_is_reported_without_its_value() {
        let environment = Environment::from_pairs([("LANGSMITH_BASE_URL", "sk-pasted-here")]);
        let hosts = list(&["LANGSMITH_BASE_URL=https://api.smith.langchain.com"]);
        let (permissions, missing) =
            Permissions::new(&Grants::default(), needs("langsmith", &[], &hosts), &environment);
        assert!(missing[0].text.contains("LANGSMITH_BASE_URL"));
        assert!(!format!("{missing:?}").contains("sk-pasted"));
        assert!(!permissions.reach("api.smith.langchain.com", 443));
    }
}
