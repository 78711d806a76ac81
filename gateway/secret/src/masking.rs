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

use key_fragment::KeyFragment;
pub use kind::names_a_secret;
use kind::{Strength, tokens_in_header, tokens_in_path};
use learned::Learned;

use aho_corasick::{AhoCorasick, MatchKind};
use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Range, sync::Arc};

const MASK: &str = "***";

/// The secrets to mask.
#[derive(Debug, Default)]
pub struct Secrets(BTreeMap<String, Strength>, Vec<KeyFragment>);

impl Secrets {
    /// Adds a secret, unless it is a placeholder.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        let Some(strength) = Strength::of(secret) else { return };
        self.0.insert(secret.to_owned(), strength);
        if strength == Strength::Key {
            self.1.extend(KeyFragment::both(secret));
            for form in forms::of(secret) {
                self.0.entry(form).or_insert(strength);
            }
        }
    }

    /// Adds the value of a variable that the config refers to. Paths and addresses are not masked,
    /// unless they contain a key, because an error would be useless without them.
    pub fn add_variable(&mut self, value: &str) {
        let keys = kind::keys_within(value);
        if keys.is_empty() && value.contains('/') {
            return;
        }
        keys.into_iter().for_each(|place| self.add(&value[place]));
        self.add(value);
    }

    /// Adds the secret parts of a header's value.
    pub fn add_header(&mut self, name: &str, value: &str) {
        tokens_in_header(name, value).iter().for_each(|token| self.add(token));
    }

    /// Adds keys in the path of a base URL.
    pub fn add_base(&mut self, base: &str) {
        tokens_in_path(base).for_each(|token| self.add(token));
    }

    /// Adds the texts of a parameter, if their name suggests a secret.
    pub fn add_member(&mut self, name: &str, value: &serde_json::Value) {
        self.add_value(value, names_a_secret(name));
    }

    fn add_value(&mut self, value: &serde_json::Value, is_secret: bool) {
        match value {
            // `api_key_env: MY_KEY` names a variable.
            serde_json::Value::String(text) if is_secret && !kind::names_a_variable(text) => {
                self.add(text);
            }
            serde_json::Value::Array(items) => {
                items.iter().for_each(|item| self.add_value(item, is_secret));
            }
            serde_json::Value::Object(members) => members.iter().for_each(|(name, value)| {
                self.add_value(value, is_secret || names_a_secret(name));
            }),
            _ => {}
        }
    }

    /// Builds the mask.
    pub fn masking(self) -> Masking {
        Masking { search: self.search(), learned: Arc::default() }
    }

    /// Builds the search for them.
    fn search(self) -> Option<Arc<Search>> {
        if self.0.is_empty() {
            return None;
        }
        let Self(whole, halves) = self;
        let (patterns, strengths): (Vec<_>, Vec<_>) = whole.into_iter().unzip();
        let parts = halves.iter().map(KeyFragment::text);
        let mut builder = AhoCorasick::builder();
        // Overlapping secrets must all be masked completely. Hosts and header names are often
        // converted to lower case, with any secret in them.
        builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        let search = builder.build(patterns.iter().map(|it| &**it).chain(parts));
        let words = strengths
            .into_iter()
            .zip(patterns)
            .map(|(strength, text)| (strength == Strength::Word).then_some(text))
            .collect();
        // Fails only for patterns of gigabytes.
        search.ok().map(|search| Arc::new(Search { search, words, halves }))
    }
}

/// Masks secrets in texts, in time linear in their length. Clones share learned secrets.
#[derive(Clone, Default)]
pub struct Masking {
    search: Option<Arc<Search>>,
    learned: Arc<Learned>,
}

struct Search {
    search: AhoCorasick,
    /// By pattern: whether it counts only as a separate word. The patterns of `halves` follow.
    words: Vec<Option<String>>,
    halves: Vec<KeyFragment>,
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

    /// From now on masks these too, of a config that is loaded while the gateway runs. Secrets that
    /// are masked already cost nothing more.
    pub fn learn_all(&self, mut secrets: Secrets) {
        secrets.0.retain(|secret, _| self.mask(secret) == secret.as_str());
        if secrets.0.is_empty() {
            return;
        }
        let text = secrets.0.keys().map(String::as_str).collect::<Vec<_>>().join("\n");
        self.learned.learn_lasting(&text, secrets);
    }

    pub fn mask_in_place(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.mask(text) {
            *text = masked;
        }
    }
}

impl Search {
    /// The masked text, if it contains a secret.
    fn masked(&self, text: &str) -> Option<String> {
        if !self.search.is_match(text) {
            return None;
        }
        let places = self.places(text);
        if places.is_empty() {
            return None;
        }
        Some(without(text, &places))
    }

    /// The range to mask for this match, if any.
    fn place(&self, text: &str, pattern: usize, found: Range<usize>) -> Option<Range<usize>> {
        match self.words.get(pattern) {
            Some(None) => Some(found),
            Some(Some(word)) => (text[found.clone()] == **word
                && kind::is_whole_word(text, &found))
            .then_some(found),
            None => Some(self.halves.get(pattern - self.words.len())?.grown(text, found)),
        }
    }

    /// The ranges of secrets, in order and without overlap.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        for found in self.search.find_overlapping_iter(text) {
            let Some(mut place) = self.place(text, found.pattern().as_usize(), found.range())
            else {
                continue;
            };
            // Matches come roughly in the order of their ends, so a match that begins earlier
            // absorbs those within it.
            while let Some(last) = places.pop_if(|last| last.end > place.start) {
                place.start = place.start.min(last.start);
                place.end = place.end.max(last.end);
            }
            places.push(place);
        }
        places
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

/// The text with a mask at each of these ranges, which are in order and do not overlap.
fn without(text: &str, places: &[Range<usize>]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut from = 0;
    for place in places {
        masked.push_str(&text[from..place.start]);
        masked.push_str(MASK);
        from = place.end;
    }
    masked.push_str(&text[from..]);
    masked
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
