//! The SHA-256 of a client's key: what the gateway keeps of a key, and looks up.
//!
//! A lookup by digest takes the same time for every key: what a client can vary is the key, and a
//! digest near another says nothing about the key behind it.

use sha2::{Digest as _, Sha256};
use std::{
    fmt::{self, Write as _},
    hash::{BuildHasher as _, Hasher, RandomState},
};

/// The SHA-256 of a key. It does not reveal a long random key, but it is not shown either.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The last byte, which is no part of [`DigestPart`].
    #[must_use]
    pub fn last_byte(&self) -> u8 {
        self.0[31]
    }

    /// Reads 64 hex digits, in any case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
        }
        Some(Self(digest))
    }

    /// 64 hex digits, in lower case.
    #[must_use]
    pub fn to_hex(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

/// Makes digests that nobody outside this process can compute.
pub struct DigestKey(Sha256);

/// A digest of several texts.
#[derive(Debug)]
pub struct DigestOfTexts(Sha256);

impl DigestKey {
    /// A new key, from the system's random numbers.
    #[must_use]
    pub fn random() -> Self {
        // A whole block, which is hashed here once for all digests.
        let mut key = [0; 64];
        for part in key.chunks_exact_mut(8) {
            // Its own key is from the system's random numbers, and the result does not reveal it.
            part.copy_from_slice(&RandomState::new().hash_one(0).to_ne_bytes());
        }
        Self(Sha256::new_with_prefix(key))
    }

    /// Begins a digest.
    #[must_use]
    pub fn begin(&self) -> DigestOfTexts {
        DigestOfTexts(self.0.clone())
    }
}

impl DigestOfTexts {
    /// Adds a text, with the number of what it is.
    pub fn add(&mut self, what: u8, text: &[u8]) {
        // The frame is short, because most texts then fit into one block of the hash with it.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX).to_ne_bytes();
        self.0.update([what, length[0], length[1], length[2], length[3]]);
        self.0.update(text);
    }

    #[must_use]
    pub fn end(self) -> KeyDigest {
        KeyDigest(self.0.finalize().into())
    }
}

/// Takes a part of a digest as its hash: only for digests that clients cannot compute, because they
/// could choose where the others go.
#[derive(Clone, Debug, Default)]
pub struct DigestPart(u64);

impl Hasher for DigestPart {
    fn write(&mut self, digest: &[u8]) {
        if let Some(part) = digest.first_chunk() {
            self.0 = u64::from_ne_bytes(*part);
        }
    }

    /// The length of the digest, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasherDefault;

    const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_digest_is_the_sha_256_that_tools_print() {
        let digest = KeyDigest::of(b"abc");
        assert_eq!(digest.to_hex(), OF_ABC);
        assert_eq!(KeyDigest::from_hex(OF_ABC), Some(digest));
        assert_eq!(KeyDigest::from_hex(&OF_ABC.to_uppercase()), Some(digest));
        assert_eq!(format!("{digest:?}"), "***");
    }

    #[test]
    fn a_digest_of_texts_is_for_them_in_this_order_and_for_its_key() {
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
        let hash = |digest: KeyDigest| BuildHasherDefault::<DigestPart>::default().hash_one(digest);
        assert_eq!(hash(one).to_ne_bytes(), one.0[..8]);
    }

    #[test]
    fn what_is_no_digest_is_refused() {
        let short = &OF_ABC[1..];
        let long = format!("{OF_ABC}0");
        let odd = format!("g{short}");
        let signed = format!("+{short}");
        let wide = format!("é{}", &OF_ABC[2..]);
        for text in ["", short, &long, &odd, &signed, &wide] {
            assert_eq!(KeyDigest::from_hex(text), None, "{text}");
        }
    }
}
