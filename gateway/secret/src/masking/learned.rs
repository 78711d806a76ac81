//! Secrets that become known while the gateway runs: variables and clients' keys that callbacks
//! were given. A callback that may read one must not repeat it where others read.

use super::{search::Search, secrets::Secrets};
use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// The most clients' keys that are kept, because clients can make up any number.
const RECENT: usize = 64;

/// The most configs whose secrets are kept: calls may still run with those of an earlier one.
const CONFIGS: usize = 8;

/// The learned secrets.
#[derive(Default)]
pub(super) struct Learned {
    /// Whether there are any; usually there are none.
    any: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Secrets granted by the config, which bounds their number.
    given: Vec<KnownSecret>,
    /// The secrets of the latest configs, the latest first.
    configs: VecDeque<KnownSecret>,
    recent: VecDeque<KnownSecret>,
}

/// A learned secret and its search.
type KnownSecret = (String, Arc<Search>);

impl Learned {
    /// Adds a client's secret, which may be dropped later.
    pub(super) fn learn_recent(&self, text: &str, secrets: Secrets) {
        self.learn(text, secrets, |kept, known| {
            kept.recent.truncate(RECENT - 1);
            kept.recent.push_front(known);
        });
    }

    /// Adds a secret for good.
    pub(super) fn learn_lasting(&self, text: &str, secrets: Secrets) {
        self.learn(text, secrets, |kept, known| kept.given.push(known));
    }

    /// Adds the secrets of a config, or notes that it is the latest.
    pub(super) fn learn_config(&self, text: &str, secrets: Secrets) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.configs.iter().position(|(known, _)| known == text) {
            kept.configs.make_contiguous()[..=at].rotate_right(1);
        } else if let Some(search) = secrets.search() {
            kept.configs.truncate(CONFIGS - 1);
            kept.configs.push_front((text.to_owned(), search));
            self.any.store(true, Relaxed);
        }
    }

    fn learn(&self, text: &str, secrets: Secrets, keep: impl FnOnce(&mut Kept, KnownSecret)) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.all().any(|(known, _)| known == text) {
            return;
        }
        if let Some(search) = secrets.search() {
            keep(&mut kept, (text.to_owned(), search));
            self.any.store(true, Relaxed);
        }
    }

    pub(super) fn mask<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        if !self.any.load(Relaxed) {
            return text;
        }
        let searches: Vec<Arc<Search>> = {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.all().map(|(_, search)| Arc::clone(search)).collect()
        };
        searches.iter().fold(text, |text, search| match search.masked(&text) {
            Some(masked) => Cow::Owned(masked),
            None => text,
        })
    }
}

impl Kept {
    fn all(&self) -> impl Iterator<Item = &KnownSecret> {
        self.given.iter().chain(&self.configs).chain(&self.recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Masking;

    #[test]
    fn the_secrets_of_the_latest_configs_are_masked() {
        let masking = Masking::default();
        let with = |key: &str| {
            let mut secrets = Secrets::default();
            secrets.add(key);
            secrets
        };
        masking.learn_all(with("000000-sk-config"));
        for at in 1..CONFIGS {
            masking.learn_all(with(&format!("{at:06}-sk-config")));
        }
        masking.learn_all(with("000000-sk-config"));
        masking.learn_all(with("999999-sk-config"));
        let said = "000000-sk-config 000001-sk-config 999999-sk-config";
        assert_eq!(masking.mask(said), "*** 000001-sk-config ***");
        let kept = masking.learned.kept.lock().unwrap().configs.len();
        assert_eq!(kept, CONFIGS);
    }

    #[test]
    fn what_was_given_is_masked_in_every_clone_and_what_clients_sent_for_a_while() {
        let masking = Masking::default();
        let other = masking.clone();
        masking.learn("sk-granted-000001");
        masking.learn_header("authorization", "Bearer sk-client-000001");
        let said = "sk-granted-000001 of sk-client-000001";
        assert_eq!(other.mask(said), "*** of ***");
        for at in 0..RECENT {
            masking.learn_header("x-api-key", &format!("sk-other-{at:06}"));
        }
        assert_eq!(other.mask(said), "*** of sk-client-000001");
        masking.learn("none");
        assert_eq!(other.mask("one of none"), "one of none");
    }
}
