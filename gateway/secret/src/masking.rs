//! Masks secrets in foreign texts (from upstreams and callbacks) on their way to clients, callbacks
//! and the log.
//!
//! A secret is recognised as it is, in encoded forms ([`forms`]), and by a part of it
//! ([`key_fragment`]). A secret that looks like a key is masked anywhere, one that could be a word
//! only as a separate word, and placeholders and short values never.

mod forms;
mod key_fragment;
mod kind;
mod learned;
mod search;
mod secrets;

pub use kind::names_a_secret;
use learned::Learned;
use search::{Search, without};
pub use secrets::Secrets;
use std::{borrow::Cow, fmt, sync::Arc};

/// Masks secrets in texts, in time linear in their length. Clones share learned secrets.
#[derive(Clone, Default)]
pub struct Masking {
    search: Option<Arc<Search>>,
    learned: Arc<Learned>,
}

impl Secrets {
    /// Builds the mask.
    pub fn masking(self) -> Masking {
        Masking { search: self.search(), learned: Arc::default() }
    }
}

impl Masking {
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        // Most headers that are passed on are shorter than any secret.
        if text.len() < kind::SHORTEST {
            return Cow::Borrowed(text);
        }
        let masked = self.search.as_ref().and_then(|search| search.masked(text));
        self.learned.mask(masked.map_or(Cow::Borrowed(text), Cow::Owned))
    }

    /// Adds a secret that a callback was given.
    pub fn learn(&self, secret: &str) {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        self.learned.learn_lasting(secret, secrets);
    }

    /// Adds the secret parts of a client's header, unless they are known. Only the latest ones are
    /// kept.
    pub fn learn_header(&self, name: &str, value: &str) {
        let mut secrets = Secrets::default();
        secrets.add_header(name, value);
        self.learned.learn_recent(value, secrets);
    }

    /// From now on masks these too, of a config that is loaded while the gateway runs. Only those
    /// of the latest configs are kept.
    pub fn learn_all(&self, mut secrets: Secrets) {
        let is_new = |secret: &str| {
            self.search.as_ref().is_none_or(|search| search.masked(secret).is_none())
        };
        secrets.0.retain(|secret, _| is_new(secret));
        if secrets.0.is_empty() {
            return;
        }
        let text = secrets.0.keys().map(String::as_str).collect::<Vec<_>>().join("\n");
        self.learned.learn_config(&text, secrets);
    }

    pub fn mask_in_place(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.mask(text) {
            *text = masked;
        }
    }
}

/// The text with everything that is clearly a key masked, for an operator's text, which may have a
/// key in the wrong place.
pub fn without_keys(text: &str) -> Cow<'_, str> {
    let places = kind::keys_within(text);
    if places.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(without(text, &places)) }
}

/// Everything in the text that is clearly a key.
pub fn keys_in(text: &str) -> impl Iterator<Item = &str> {
    kind::keys_within(text).into_iter().map(|place| &text[place])
}

/// Masks one secret that a text seldom contains, so that it usually costs only a search.
pub fn mask_one(text: &mut String, secret: &str) {
    if !secret.is_empty() && memchr::memmem::find(text.as_bytes(), secret.as_bytes()).is_some() {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        secrets.masking().mask_in_place(text);
    }
}

/// Does not show the secrets.
impl fmt::Debug for Masking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masking")
    }
}

#[cfg(test)]
mod tests;
