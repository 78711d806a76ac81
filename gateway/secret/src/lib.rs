//! A secret string: the master key, upstream keys, header values of the config. It prints as `***`,
//! is never serialised, and is compared in constant time. Clients' other keys are kept as digests.
//! `config` reads secrets; `server` and `upstream` know which headers carry them.

#![forbid(unsafe_code)]

pub mod credentials;
mod key_digest;
mod masking;
mod text_digest;

pub use key_digest::KeyDigest;
pub use masking::{Masking, Secrets, keys_in, mask_one, names_a_secret, without_keys};
pub use text_digest::{DigestAsHash, DigestKey, DigestOfTexts, TextDigest};

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// A secret string, cheap to clone. `Debug` and `Display` print `***`.
#[derive(Clone)]
pub struct Secret {
    text: Arc<str>,
}

impl Secret {
    /// Wraps `text` unchanged; the caller decides whether it may be blank.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: Arc::from(text) }
    }

    /// Whether `candidate` equals this secret. The time depends only on the candidate's length: a
    /// candidate of another length is compared with itself, so that the time reveals neither a
    /// common prefix nor the secret's length.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        let text = self.text.as_bytes();
        let same_length = text.len() == candidate.len();
        let other = if same_length { text } else { candidate };
        bool::from(other.ct_eq(candidate)) & same_length
    }

    /// The plain text, for the one place that sends it. It must never reach a log, an error or a
    /// metric.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.text.as_bytes())
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn is_masked_wherever_it_is_printed() {
        let key = Secret::new("sk-very-private");
        assert_eq!(format!("{key} {key:?} {key:#?} {:?}", Some(&key)), "*** *** *** Some(***)");
    }

    #[test]
    fn matches_only_the_whole_text() {
        let key = Secret::new("sk-1");
        assert!(key.matches(b"sk-1"));
        for wrong in [&b""[..], b"sk-", b"sk-12", b"SK-1", b" sk-1", b"sk-1\0"] {
            assert!(!key.matches(wrong), "{wrong:?}");
        }
    }
}
