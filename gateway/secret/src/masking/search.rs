//! Finds secrets in a text.

use super::{key_fragment::KeyFragment, kind};
use aho_corasick::AhoCorasick;
use std::ops::Range;

const MASK: &str = "***";

/// A set of secrets, ready to be looked for.
pub(super) struct Search {
    search: AhoCorasick,
    /// By pattern: whether it counts only as a separate word. The patterns of `halves` follow.
    words: Vec<Option<String>>,
    halves: Vec<KeyFragment>,
}

impl Search {
    pub(super) fn new(
        search: AhoCorasick,
        words: Vec<Option<String>>,
        halves: Vec<KeyFragment>,
    ) -> Self {
        Self { search, words, halves }
    }

    /// The masked text, if it contains a secret.
    pub(super) fn masked(&self, text: &str) -> Option<String> {
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

/// The text with a mask at each of these ranges, which are in order and do not overlap.
pub(super) fn without(text: &str, places: &[Range<usize>]) -> String {
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
