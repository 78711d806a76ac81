//! Secrets that are known only while the gateway runs: what callbacks were given of variables and
//! of clients' keys. Whoever may read one may not repeat it where others read.

use super::{Search, Secrets};
use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

/// So many clients' keys are known at a time: clients can make up any number.
const RECENT: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Learned {
    /// Whether there are any: mostly there are none.
    any: AtomicBool,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// As many as the config grants.
    given: Vec<KnownSecret>,
    recent: VecDeque<KnownSecret>,
}

/// What was learned, and how it is looked for.
type KnownSecret = (String, Arc<Search>);

impl Learned {
    /// Learns a secret of a client.
    pub(super) fn learn_recent(&self, text: &str, secrets: Secrets) {
        self.learn(text, secrets, |kept, known| {
            kept.recent.truncate(RECENT - 1);
            kept.recent.push_front(known);
        });
    }

    /// Learns one that will not be forgotten.
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
