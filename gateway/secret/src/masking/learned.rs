//! Secrets that become known while the gateway runs: variables and clients' keys that callbacks
//! were given. A callback that may read one must not repeat it where others read.

use super::search::Search;
use super::secrets::Secrets;
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
        self.given.iter().chain(&self.recent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Masking;

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
