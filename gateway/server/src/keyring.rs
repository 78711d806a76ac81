//! The keys of one config, and what the holder of each may do. A key is found by its digest, so the
//! time does not depend on their number, nor on how much of a key was guessed.

use callgate_call::KeyHolder;
use callgate_config::{ANONYMOUS, Config, KeyScopes, MASTER_KEY};
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_secret::{KeyDigest, Secret};
use std::collections::HashMap;

/// All keys.
#[derive(Debug)]
pub(crate) struct Keyring {
    master_key: Option<Secret>,
    /// The holder of the master key; everybody, if nobody needs a key.
    first: KeyHolder,
    is_for_everybody: bool,
    listed: HashMap<KeyDigest, KeyHolder>,
}

impl Keyring {
    pub(crate) fn new(config: &Config) -> Self {
        let (name, scopes) = match config.master_key {
            Some(_) => (MASTER_KEY, KeyScopes::ALL),
            None => (ANONYMOUS, KeyScopes { admin: false, ..KeyScopes::ALL }),
        };
        let first = KeyHolder::of_all_models(name, scopes);
        let keys = config.gateway.keys.iter();
        Self {
            master_key: config.master_key.clone(),
            first,
            is_for_everybody: !config.is_keyed(),
            listed: keys.map(|key| (key.digest, KeyHolder::of(key))).collect(),
        }
    }

    /// The caller without a key, if callers need none.
    pub(super) fn everybody(&self) -> Option<&KeyHolder> {
        self.is_for_everybody.then_some(&self.first)
    }

    /// The holder of the master key, if `key` is that.
    pub(super) fn master(&self, key: &[u8]) -> Option<&KeyHolder> {
        self.master_key.as_ref().is_some_and(|master| master.matches(key)).then_some(&self.first)
    }

    /// The holder of `key`. `now_ms` is the time since 1970; it is read only for a key that
    /// expires.
    pub(super) fn holder(
        &self,
        key: &[u8],
        now_ms: impl FnOnce() -> u64,
    ) -> Result<&KeyHolder, Failure> {
        if let Some(master) = self.master(key) {
            return Ok(master);
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

/// Refuses a model that the holder may not call.
pub(super) fn admit_model(
    holder: &KeyHolder,
    name: &str,
    deployments: &Deployments,
) -> Result<(), Failure> {
    if holder.may_call(name, deployments) {
        return Ok(());
    }
    let models: Vec<_> = holder.models().iter().map(ToString::to_string).collect();
    Err(Failure::model_not_for_key(&crate::refusal_log::shortened(name), &models))
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::{Environment, UnknownKeys, parse};
    use std::{path::Path, sync::Arc};

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
        let asked = "litellm_settings: {callbacks: [tokens]}\n\
                     general_settings: {custom_auth: tokens}\nmodel_list: []\n";
        let file = Arc::from(Path::new("c.yaml"));
        let asked = parse(&file, asked, &Environment::default(), UnknownKeys::Warn).unwrap();
        let keyring = Keyring::new(&asked);
        assert!(keyring.everybody().is_none(), "a callback says who may call");
        assert_eq!(holds(&keyring, "sk-master", 0), Err("wrong"));
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
