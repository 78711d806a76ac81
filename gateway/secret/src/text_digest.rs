//! Digests of texts under a secret key, by which results are looked up without keeping the texts.

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::{
    fmt,
    hash::{BuildHasher as _, Hasher, RandomState},
};

/// Makes digests that nobody outside this process can compute, or find two equal ones of. Nobody
/// outside sees a digest either, so the variant with fewer rounds is enough.
pub struct DigestKey(SipHasher13);

/// A digest of several texts that is being made.
pub struct DigestOfTexts(SipHasher13);

/// The SipHash-1-3 of some texts, of 128 bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TextDigest {
    high: u64,
    low: u64,
}

impl DigestKey {
    /// A new key, from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        // Its own key is from the system's random numbers, and the result does not reveal it.
        let part = || RandomState::new().hash_one(0);
        Self(SipHasher13::new_with_keys(part(), part()))
    }

    /// Begins a digest.
    #[must_use]
    pub fn begin(&self) -> DigestOfTexts {
        DigestOfTexts(self.0)
    }
}

impl DigestOfTexts {
    /// Adds a text, with the number of what it is.
    pub fn add(&mut self, what: u8, text: &[u8]) {
        // Together in one word, so that no text can stand for another with its length.
        self.0.write_u64((text.len() as u64) << 8 | u64::from(what));
        self.0.write(text);
    }

    #[must_use]
    pub fn end(self) -> TextDigest {
        let digest = self.0.finish128();
        TextDigest { high: digest.h1, low: digest.h2 }
    }
}

impl TextDigest {
    /// One of `count` parts that digests fall into evenly, independent of the digest's hash.
    #[must_use]
    pub fn part(self, count: usize) -> usize {
        self.low as usize % count
    }
}

/// For maps that take a digest as its own hash: clients cannot compute digests, so they cannot
/// choose where the others go.
impl std::hash::Hash for TextDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high);
    }
}

/// Takes a digest as its own hash.
#[derive(Clone, Debug, Default)]
pub struct DigestAsHash(u64);

impl Hasher for DigestAsHash {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, high: u64) {
        self.0 = high;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// None of them shows its content.
macro_rules! masked {
    ($($name:ident),*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("***")
            }
        }
    )*};
}
masked!(DigestKey, DigestOfTexts, TextDigest);

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasherDefault;

    #[test]
    fn a_digest_is_for_these_texts_in_this_order_and_for_its_key() {
        let (key, other) = (DigestKey::random(), DigestKey::random());
        let of = |key: &DigestKey, texts: &[(u8, &str)]| {
            let mut digest = key.begin();
            texts.iter().for_each(|(what, text)| digest.add(*what, text.as_bytes()));
            digest.end()
        };
        let one = of(&key, &[(0, "ab"), (1, "c")]);
        assert_eq!(of(&key, &[(0, "ab"), (1, "c")]), one);
        for texts in
            [&[(0, "a"), (1, "bc")][..], &[(0, "ab"), (0, "c")], &[(1, "c"), (0, "ab")], &[]]
        {
            assert_ne!(of(&key, texts), one, "{texts:?}");
        }
        assert_ne!(of(&other, &[(0, "ab"), (1, "c")]), one);
        let hash = BuildHasherDefault::<DigestAsHash>::default().hash_one(one);
        assert_eq!((hash, one.part(16)), (one.high, one.low as usize % 16));
        assert_eq!(format!("{one:?} {key:?} {:?}", key.begin()), "*** *** ***");
    }
}
