//! The secrets to mask, as they are collected.

use super::{
    forms,
    key_fragment::KeyFragment,
    kind::{self, Strength, names_a_secret, tokens_in_header, tokens_in_path},
    search::Search,
};
use aho_corasick::{AhoCorasick, MatchKind};
use std::{collections::BTreeMap, sync::Arc};

/// The secrets to mask.
#[derive(Debug, Default)]
pub struct Secrets(pub(super) BTreeMap<String, Strength>, Vec<KeyFragment>);

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

    /// Builds the search for them.
    pub(super) fn search(self) -> Option<Arc<Search>> {
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
        search.ok().map(|search| Arc::new(Search::new(search, words, halves)))
    }
}
