//! Texts without secrets: the one way words of others (upstreams, callbacks) take to clients,
//! callbacks and the log.
//!
//! A secret is known as it is, as others may write it ([`forms`]), and where only a part of it is
//! left ([`key_fragment`]). What looks like a key is masked wherever it stands; what could be a
//! word only as a word of its own; placeholders and short values not at all.

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

    /// Adds the value of a variable that the config refers to. Paths and addresses stay, unless a
    /// key is in them: without them nobody could tell what was looked for.
    pub fn add_variable(&mut self, value: &str) {
        let keys = kind::keys_within(value);
        if keys.is_empty() && value.contains('/') {
            return;
        }
        keys.into_iter().for_each(|place| self.add(&value[place]));
        self.add(value);
    }

    /// Adds what is secret in a header's value.
    pub fn add_header(&mut self, name: &str, value: &str) {
        tokens_in_header(name, value).iter().for_each(|token| self.add(token));
    }

    /// Adds what a base URL holds in its path.
    pub fn add_base(&mut self, base: &str) {
        tokens_in_path(base).for_each(|token| self.add(token));
    }

    /// Adds the texts of a parameter that stand under a name that speaks of secrets.
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

    /// Replaces them.
    pub fn masking(self) -> Masking {
        Masking { search: self.search(), learned: Arc::default() }
    }

    /// How they are looked for.
    fn search(self) -> Option<Arc<Search>> {
        if self.0.is_empty() {
            return None;
        }
        let Self(whole, halves) = self;
        let (patterns, strengths): (Vec<_>, Vec<_>) = whole.into_iter().unzip();
        let parts = halves.iter().map(KeyFragment::text);
        let mut builder = AhoCorasick::builder();
        // Secrets may overlap, and all of each has to go. Hosts and header names are often written
        // in lower case, with what was in them.
        builder.match_kind(MatchKind::Standard).ascii_case_insensitive(true);
        let search = builder.build(patterns.iter().map(|it| &**it).chain(parts));
        let words = strengths
            .into_iter()
            .zip(patterns)
            .map(|(strength, text)| (strength == Strength::Word).then_some(text))
            .collect();
        // Only patterns of gigabytes have no automaton.
        search.ok().map(|search| Arc::new(Search { search, words, halves }))
    }
}

/// Replaces secrets in texts, in time linear in their length. A clone knows what the others learn.
#[derive(Clone, Default)]
pub struct Masking {
    search: Option<Arc<Search>>,
    learned: Arc<Learned>,
}

struct Search {
    search: AhoCorasick,
    /// By pattern, what counts only as a word of its own. Behind them come the patterns of
    /// `halves`.
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

    /// From now on masks this too: a callback was given it.
    pub fn learn(&self, secret: &str) {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        self.learned.learn_lasting(secret, secrets);
    }

    /// From now on, and as long as no more of them come than can be kept, masks what is secret in a
    /// client's header, unless it is known already.
    pub fn learn_header(&self, name: &str, value: &str) {
        let mut secrets = Secrets::default();
        secrets.add_header(name, value);
        self.learned.learn_recent(value, secrets);
    }

    pub fn mask_in_place(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.mask(text) {
            *text = masked;
        }
    }
}

impl Search {
    /// The text without secrets, if it has any.
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

    /// What goes for this match, if anything does.
    fn place(&self, text: &str, pattern: usize, found: Range<usize>) -> Option<Range<usize>> {
        match self.words.get(pattern) {
            Some(None) => Some(found),
            Some(Some(word)) => (text[found.clone()] == **word
                && kind::is_whole_word(text, &found))
            .then_some(found),
            None => Some(self.halves.get(pattern - self.words.len())?.grown(text, found)),
        }
    }

    /// Where secrets stand, in order and apart.
    fn places(&self, text: &str) -> Vec<Range<usize>> {
        let mut places: Vec<Range<usize>> = Vec::new();
        for found in self.search.find_overlapping_iter(text) {
            let Some(mut place) = self.place(text, found.pattern().as_usize(), found.range())
            else {
                continue;
            };
            // They come nearly by their ends, so one that begins earlier takes up those within it.
            while let Some(last) = places.pop_if(|last| last.end > place.start) {
                place.start = place.start.min(last.start);
                place.end = place.end.max(last.end);
            }
            places.push(place);
        }
        places
    }
}

/// The text without what is plainly a key, whoever's it is: for words of an operator, who may have
/// put a key where something else is expected.
pub fn without_keys(text: &str) -> Cow<'_, str> {
    let places = kind::keys_within(text);
    if places.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(without(text, &places)) }
}

/// What is plainly a key in the text.
pub fn keys_in(text: &str) -> impl Iterator<Item = &str> {
    kind::keys_within(text).into_iter().map(|place| &text[place])
}

/// The text with a mask at each of these places, which are in order and apart.
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

/// Masks one secret that seldom is in a text: then it costs a search.
pub fn mask_one(text: &mut String, secret: &str) {
    if !secret.is_empty() && memchr::memmem::find(text.as_bytes(), secret.as_bytes()).is_some() {
        let mut secrets = Secrets::default();
        secrets.add(secret);
        secrets.masking().mask_in_place(text);
    }
}

/// Says nothing of what it looks for.
impl fmt::Debug for Masking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masking")
    }
}

#[cfg(test)]
mod tests;
