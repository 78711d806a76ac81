//! Protective LiteLLM keys that this gateway does not implement. Each prevents the start: with a
//! mere warning, the gateway would serve calls that the operator believes to be checked, counted or
//! refused. With `callgate.accept_unprotected` the operator accepts that some are ignored.
//!
//! They count in every section where they occur. `litellm_keys` has the table, `section` has this
//! gateway's own protective keys, and `plugin-host` has LiteLLM's protective callbacks.

use super::closest::closest;
use super::litellm_keys::{Standing, protecting, protections};
use super::problem::{Problem, SourceLocation};
use super::quote::quoted;
use super::reader::{Field, Reader};
use super::yaml::{Kind, Node};

/// A protective key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protection {
    pub(super) key: &'static str,
    /// The consequence of ignoring it.
    effect: &'static str,
    /// What to use here instead.
    instead: &'static str,
}

impl Protection {
    /// The protective key of this name.
    pub(super) fn named(key: &str) -> Option<Self> {
        let (key, effect, instead) = protecting(key)?;
        Some(Self { key, effect, instead })
    }

    pub(super) fn standing(self) -> Standing {
        Standing::Protects { effect: self.effect, instead: self.instead }
    }

    /// The protective key of this name, unless its value switches it off.
    pub(super) fn of(key: &str, value: &Node) -> Option<Self> {
        if is_off(value) { None } else { Self::named(key) }
    }

    /// Reports that it does not protect here: an error, unless the operator accepts that.
    pub(super) fn problem(self, place: SourceLocation, accepted: &[String]) -> Problem {
        let Self { key, effect, instead } = self;
        if accepted.iter().any(|it| it == key) {
            let text =
                format!("`{key}` is not used, as `callgate.accept_unprotected` allows: {effect}");
            return Problem::warning(place, text).remedy(instead);
        }
        let text = format!("`{key}` protects, and this gateway does not act on it: {effect}");
        Problem::error(place, text)
            .remedy(format!("{instead}; or accept it with `callgate.accept_unprotected: [{key}]`"))
    }
}

/// Whether a value switches its key off.
pub(super) fn is_off(value: &Node) -> bool {
    match &value.kind {
        Kind::Sequence(items) => items.is_empty(),
        Kind::Mapping(members) => members.is_empty(),
        Kind::Scalar(_) => value.is_null() || value.is_false(),
    }
}

/// The keys that the operator accepts, by name or by whole path.
pub(super) fn accepted(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    let mut accepted = Vec::new();
    for item in reader.list(field) {
        let Some(text) = reader.text(&item) else { continue };
        let key = text.rsplit('.').next().unwrap_or_default();
        if Protection::named(key).is_some() {
            accepted.push(key.to_owned());
            continue;
        }
        let known = protections().map(|(key, ..)| key);
        let text = format!(
            "expected a key that protects and is not acted on, found {}",
            reader.found(&item)
        );
        let problem = Problem::error(reader.place(&item), text);
        reader.problems.push(match closest(key, known) {
            Some(near) => problem.remedy(format!("did you mean `{}`?", quoted(near))),
            None => problem.remedy("remove it"),
        });
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, UnknownKeys, parse};
    use std::path::Path;
    use std::sync::Arc;

    fn read(text: &str) -> Result<Vec<String>, Vec<String>> {
        let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
        let said = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect();
        match parse(&file, text, &Environment::default(), UnknownKeys::Warn) {
            Ok(config) => Ok(said(config.problems)),
            Err(problems) => Err(said(problems.0)),
        }
    }

    /// The section of each key, and a value that switches it on.
    const KEYS: &[(&str, &str, &str)] = &[
        ("guardrails", "", "[{guardrail_name: a}]"),
        ("policies", "", "{a: {guardrails: [b]}}"),
        ("allowed_ips", "general_settings", "[10.0.0.1]"),
        ("custom_auth", "general_settings", "auth.check"),
        ("enforce_user_param", "general_settings", "true"),
        ("global_max_parallel_requests", "general_settings", "10"),
        ("max_parallel_requests", "general_settings", "10"),
        ("service_account_settings", "general_settings", "{enforced_params: [user]}"),
        ("max_budget", "litellm_settings", "0"),
        ("max_budget", "general_settings", "10"),
        ("guardrails", "litellm_settings", "[a]"),
        ("provider_budget_config", "router_settings", "{openai: {budget_limit: 1}}"),
        ("default_max_parallel_requests", "router_settings", "5"),
    ];

    fn config(section: &str, key: &str, value: &str) -> String {
        match section {
            "" => format!("{key}: {value}\n"),
            _ => format!("{section}:\n  {key}: {value}\n"),
        }
    }

    #[test]
    fn a_key_that_protects_refuses_the_start_until_that_is_accepted() {
        for (key, section, value) in KEYS {
            let text = config(section, key, value);
            let said = read(&text).expect_err(key);
            let place = if section.is_empty() {
                format!("c.yaml:1:1: {key}: ")
            } else {
                format!("c.yaml:2:3: {section}.{key}: ")
            };
            assert!(said.len() == 1 && said[0].starts_with(&place), "{said:?}");
            let way_out = format!("`callgate.accept_unprotected: [{key}]`");
            assert!(said[0].ends_with(&way_out), "{said:?}");
            for name in [(*key).to_owned(), format!("{section}.{key}")] {
                let accepted = format!("{text}callgate: {{accept_unprotected: [{name}]}}\n");
                let said = read(&accepted).expect(key);
                assert!(said.len() == 1 && said[0].starts_with(&place), "{said:?}");
                assert!(said[0].contains("as `callgate.accept_unprotected` allows"), "{said:?}");
            }
            let other = if *key == "max_budget" { "guardrails" } else { "max_budget" };
            let accepted = format!("{text}callgate: {{accept_unprotected: [{other}]}}\n");
            assert!(read(&accepted).is_err(), "{accepted}");
        }
    }

    #[test]
    fn one_that_is_switched_off_protects_nothing() {
        for (key, section, _) in KEYS {
            for value in ["~", "false", "[]", "{}"] {
                let said = read(&config(section, key, value)).expect(key);
                assert!(said.iter().all(|it| !it.contains("protects")), "{said:?}");
            }
        }
    }

    #[test]
    fn one_that_is_misspelt_or_in_a_deployment_refuses_too() {
        let params = |text: &str| {
            format!("model_list: [{{model_name: a, litellm_params: {{model: openai/a, {text}}}}}]")
        };
        for (text, said) in [
            ("guardrials: [a]".to_owned(), "did you mean `guardrails`?"),
            ("general_settings: {allowed_ip: [a]}".to_owned(), "did you mean `allowed_ips`?"),
            (params("max_budget: 1"), "`max_budget` protects"),
            (params("max_parallel_requests: 1"), "`max_parallel_requests` protects"),
            (params("extra_body: {guardrails: [a]}"), "`guardrails` protects"),
        ] {
            let found = read(&text).expect_err(&text);
            assert!(found.iter().any(|it| it.contains(said)), "{text}: {found:?}");
        }
        let accepted = params("max_budget: 1") + "\ncallgate: {accept_unprotected: [max_budget]}";
        assert!(read(&accepted).is_ok());
    }

    #[test]
    fn what_is_accepted_must_be_such_a_key() {
        for (name, said) in [
            ("guardrial", "did you mean `guardrails`?"),
            ("master_key", "found `master_key`; remove it"),
        ] {
            let found =
                read(&format!("callgate: {{accept_unprotected: [{name}]}}")).expect_err(name);
            assert!(found.len() == 1 && found[0].ends_with(said), "{found:?}");
        }
    }
}
