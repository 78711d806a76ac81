//! The keys of one config, and what the holder of each may do. A key is found by its digest, so the
//! time does not depend on their number, nor on how much of a key was guessed.

use callgate_call::Caller;
use callgate_config::{ANONYMOUS, ClientKey, Config, KeyScopes, MASTER_KEY};
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_secret::{KeyDigest, Secret};
use plugin_api::{Pattern, in_lower_case};
use std::{collections::HashMap, sync::Arc};

/// All keys.
#[derive(Debug)]
pub(crate) struct Keyring {
    master_key: Option<Secret>,
    /// The holder of the master key; everybody, if there is no key at all.
    first: KeyHolder,
    listed: HashMap<KeyDigest, KeyHolder>,
}

/// The holder of one key.
#[derive(Debug)]
pub(crate) struct KeyHolder {
    pub(super) caller: Arc<Caller>,
    /// Model names in lower case; empty for all.
    models: Box<[Pattern]>,
    expires_ms: Option<u64>,
    pub(super) scopes: KeyScopes,
}

impl Keyring {
    pub(crate) fn new(config: &Config) -> Self {
        let (name, scopes) = match config.master_key {
            Some(_) => (MASTER_KEY, KeyScopes::ALL),
            None => (ANONYMOUS, KeyScopes { admin: false, ..KeyScopes::ALL }),
        };
        let first = KeyHolder {
            caller: Arc::new(Caller::with_key_id(name)),
            models: Box::default(),
            expires_ms: None,
            scopes,
        };
        let keys = config.gateway.keys.iter();
        Self {
            master_key: config.master_key.clone(),
            first,
            listed: keys.map(|key| (key.digest, KeyHolder::of(key))).collect(),
        }
    }

    /// The caller without a key, if callers need none.
    pub(super) fn everybody(&self) -> Option<&KeyHolder> {
        (self.master_key.is_none() && self.listed.is_empty()).then_some(&self.first)
    }

    /// The holder of `key`. `now_ms` is the time since 1970; it is read only for a key that
    /// expires.
    pub(super) fn holder(
        &self,
        key: &[u8],
        now_ms: impl FnOnce() -> u64,
    ) -> Result<&KeyHolder, Failure> {
        if self.master_key.as_ref().is_some_and(|master| master.matches(key)) {
            return Ok(&self.first);
        }
        if self.listed.is_empty() {
            return Err(Failure::wrong_key());
        }
        let holder = self.listed.get(&KeyDigest::of(key)).ok_or_else(Failure::wrong_key)?;
        if holder.expires_ms.is_some_and(|expires| expires <= now_ms()) {
            return Err(Failure::expired_key(&holder.caller.key_id));
        }
        Ok(holder)
    }
}

impl KeyHolder {
    fn of(key: &ClientKey) -> Self {
        let patterns = key.models.iter().map(|name| Pattern::new(&in_lower_case(name)));
        Self {
            caller: Arc::new(Caller::of(key)),
            models: patterns.collect(),
            expires_ms: key.expires_ms,
            scopes: key.scopes,
        }
    }

    /// Refuses a model that the holder may not call.
    pub(super) fn admit_model(&self, name: &str, deployments: &Deployments) -> Result<(), Failure> {
        if self.may_call(name, deployments) {
            return Ok(());
        }
        let models: Vec<_> = self.models.iter().map(ToString::to_string).collect();
        Err(Failure::model_not_for_key(&crate::refusal_log::shortened(name), &models))
    }

    /// Whether the holder may call the model: by the name itself, or by the public name of every
    /// deployment that it means, if it is another name for them. A raw `litellm_params.model`
    /// counts only by these public names, because nobody lists it for callers.
    pub(super) fn may_call(&self, name: &str, deployments: &Deployments) -> bool {
        let fits = |name: &str| {
            let name = in_lower_case(name);
            self.models.iter().any(|pattern| pattern.matches(&name))
        };
        if self.models.is_empty() || (fits(name) && !deployments.is_raw(name)) {
            return true;
        }
        let Some(group) = deployments.resolve(name) else { return false };
        group.deployments().iter().all(|deployment| {
            group.public_name(deployment, name).is_some_and(|public| fits(&public))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::{Environment, UnknownKeys, parse};
    use std::path::Path;

    const CONFIG: &str = "
model_list:
- {model_name: small, litellm_params: {model: openai/gpt-4o-mini, api_key: k}}
- {model_name: large, litellm_params: {model: openai/gpt-4o, api_key: k}}
- {model_name: 'lab/*', litellm_params: {model: 'openai/*', api_key: k}}
router_settings: {model_group_alias: {cheap: small, dear: large, gpt-alias: large}}
callgate:
  keys:
  - {name: ann, key: sk-ann-0123456789, models: [SMALL, 'gpt-*', 'lab/x*', 'openai/*']}
  - {name: bob, key: sk-bob-0123456789, expires: '2027-01-31T16:00:00Z'}
";

    fn config(head: &str) -> Config {
        let file = Arc::from(Path::new("c.yaml"));
        let text = format!("{head}{CONFIG}");
        parse(&file, &text, &Environment::default(), UnknownKeys::Warn).unwrap()
    }

    fn holds(keyring: &Keyring, key: &str, now_ms: u64) -> Result<String, &'static str> {
        match keyring.holder(key.as_bytes(), || now_ms) {
            Ok(holder) => Ok(holder.caller.key_id.clone()),
            Err(failure) if failure.error_type == "expired_key" => Err("expired"),
            Err(_) => Err("wrong"),
        }
    }

    #[test]
    fn each_key_is_found_until_it_expires() {
        const EXPIRY: u64 = 1_801_411_200_000;
        let keyring = Keyring::new(&config("general_settings: {master_key: sk-master}\n"));
        for (key, now, expected) in [
            ("sk-master", 0, Ok("master_key")),
            ("sk-ann-0123456789", u64::MAX, Ok("ann")),
            ("sk-bob-0123456789", EXPIRY - 1, Ok("bob")),
            ("sk-bob-0123456789", EXPIRY, Err("expired")),
            ("sk-bob-012345678", 0, Err("wrong")),
            ("SK-BOB-0123456789", 0, Err("wrong")),
            ("", 0, Err("wrong")),
        ] {
            assert_eq!(holds(&keyring, key, now), expected.map(str::to_owned), "{key} {now}");
        }
        assert!(keyring.everybody().is_none());
        let keyring = Keyring::new(&config(""));
        assert!(keyring.everybody().is_none(), "listed keys need no master key");
        assert_eq!(holds(&keyring, "sk-ann-0123456789", 0), Ok("ann".to_owned()));
    }

    #[test]
    fn a_key_with_models_calls_those_alone_by_whatever_name() {
        let config = config("");
        let (deployments, problems) = Deployments::from_config(&config).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        let keyring = Keyring::new(&config);
        let holder = |key: &str| keyring.holder(key.as_bytes(), || 0).unwrap();
        let (ann, bob) = (holder("sk-ann-0123456789"), holder("sk-bob-0123456789"));
        for (name, allowed) in [
            ("small", true),
            ("Small", true),
            ("cheap", true),
            ("large", false),
            ("dear", false),
            // The operator's alias is a name like others.
            ("gpt-alias", true),
            // A raw name counts by what it means, although `openai/*` fits it.
            ("openai/gpt-4o-mini", true),
            ("openai/gpt-4o", false),
            ("lab/x1", true),
            ("lab/y1", false),
            ("unknown", false),
            ("", false),
        ] {
            assert_eq!(ann.may_call(name, &deployments), allowed, "{name}");
            assert!(bob.may_call(name, &deployments), "{name}");
        }
    }
}
