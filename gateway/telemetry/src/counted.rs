//! Counts in sentences: `1 call`, `2 calls`. All messages with a count before a word use these.

use std::fmt::Display;

/// `1 call was`, `3 calls were`: the count and the phrase for one or many.
pub fn counted_as<N: Copy + Display + PartialEq + From<u8>>(
    count: N,
    one: &str,
    many: &str,
) -> String {
    let words = if count == N::from(1) { one } else { many };
    format!("{count} {words}")
}

/// `1 call`, `3 calls`: for nouns whose plural ends in `s`.
pub fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, one: &str) -> String {
    counted_as(count, one, &format!("{one}s"))
}

#[cfg(test)]
mod tests {
    use super::{counted, counted_as};

    #[test]
    fn one_and_many_have_their_own_words() {
        for (count, words, sentence) in [
            (0_usize, "0 calls", "0 entries are"),
            (1, "1 call", "1 entry is"),
            (2, "2 calls", "2 entries are"),
        ] {
            assert_eq!(counted(count, "call"), words);
            assert_eq!(counted_as(count, "entry is", "entries are"), sentence);
        }
    }
}
