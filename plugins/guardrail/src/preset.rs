//! The built-in patterns. Their matches have at most 256 bytes, so they work with the default
//! `hold_back`.

use serde::Deserialize;

/// A built-in pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Preset {
    Email,
    CreditCard,
    ApiKey,
}

impl Preset {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::CreditCard => "credit_card",
            Self::ApiKey => "api_key",
        }
    }

    pub(crate) fn pattern(self) -> &'static str {
        match self {
            Self::Email => r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,40}\.){1,3}[A-Za-z]{2,24}",
            Self::CreditCard => r"(?-u:\b)[0-9](?:[ -]?[0-9]){12,18}(?-u:\b)",
            Self::ApiKey => concat!(
                r"(?-u:\b)(?:sk-[A-Za-z0-9_-]{16,200}|gsk_[A-Za-z0-9]{20,100}",
                r"|gh[opsur]_[A-Za-z0-9]{36,100}|github_pat_[A-Za-z0-9_]{22,100}",
                r"|glpat-[A-Za-z0-9_-]{20,60}|hf_[A-Za-z0-9]{30,60}",
                r"|xox[abeprs]-[A-Za-z0-9-]{10,200}|(?:AKIA|ASIA)[0-9A-Z]{16}",
                r"|AIza[0-9A-Za-z_-]{35})",
            ),
        }
    }

    /// Returns how many bytes of a match count, 0 for none.
    pub(crate) fn meant(self, found: &str) -> usize {
        match self {
            Self::Email | Self::ApiKey => found.len(),
            Self::CreditCard => card_number(found),
        }
    }
}

/// Returns the length of the longest run of 13 to 19 digits from the start of `found` that passes
/// the Luhn check and ends where a group of digits ends.
fn card_number(found: &str) -> usize {
    let bytes = found.as_bytes();
    let ends =
        (1..=bytes.len()).rev().filter(|end| !bytes.get(*end).is_some_and(u8::is_ascii_digit));
    let digits = |end: usize| bytes.iter().take(end).filter(|byte| byte.is_ascii_digit());
    ends.filter(|end| bytes.get(end - 1).is_some_and(u8::is_ascii_digit))
        .filter(|end| digits(*end).count() >= 13)
        .find(|end| luhn(digits(*end)))
        .unwrap_or(0)
}

/// The Luhn check: with every second digit from the right doubled, the sum of all digits is a
/// multiple of ten.
fn luhn<'a>(digits: impl DoubleEndedIterator<Item = &'a u8>) -> bool {
    let sum: u32 = digits
        .rev()
        .enumerate()
        .map(|(place, digit)| match (u32::from(digit - b'0'), place % 2) {
            (digit, 0) => digit,
            (digit, _) => digit * 2 / 10 + digit * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_passes_the_luhn_check_and_ends_with_a_group() {
        for (text, expected) in [
            ("4111111111111111", 16),
            ("4111 1111 1111 1111", 19),
            ("4111-1111-1111-1111", 19),
            ("378282246310005", 15),
            ("4111 1111 1111 1111 12", 19),
            ("4111111111111112", 0),
            ("1234567890123", 0),
            ("411111111111", 0),
        ] {
            assert_eq!(card_number(text), expected, "{text}");
        }
    }
}
