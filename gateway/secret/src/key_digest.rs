//! The SHA-256 of a client's key: what the gateway keeps of a key, and looks up.
//!
//! A lookup by digest takes the same time for every key: what a client can vary is the key, and a
//! digest near another says nothing about the key behind it.

use sha2::{Digest as _, Sha256};
use std::fmt::{self, Write as _};

/// The SHA-256 of a key. It does not reveal a long random key, but it is not shown either.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest([u8; 32]);

impl KeyDigest {
    #[must_use]
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
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

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
