//! Why a service did not do what it was asked.

use crate::abi::RawHostError;
use std::fmt;

/// What kind of refusal it is. New ones may appear: compare, do not match exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostErrorKind(pub u32);

impl HostErrorKind {
    /// The config does not grant it to this callback.
    pub const NOT_GRANTED: Self = Self(1);
    /// A granted secret that is not set, or blank.
    pub const NOT_SET: Self = Self(2);
    /// The input is not one: a URL that is none, a metric name with a space, an empty key.
    pub const INVALID: Self = Self(3);
    /// One value is larger than the limit for one.
    pub const TOO_LARGE: Self = Self(4);
    /// The callback has as much of it as it may have.
    pub const FULL: Self = Self(5);
    /// The gateway is ending, or only checking its config.
    pub const ENDING: Self = Self(6);
    /// No connection, or one that broke.
    pub const UNREACHABLE: Self = Self(7);
    /// Not done in time.
    pub const TIMEOUT: Self = Self(8);

    fn text(self) -> &'static str {
        match self {
            Self::NOT_GRANTED => "the config does not grant it",
            Self::NOT_SET => "it is not set",
            Self::INVALID => "the input is not valid",
            Self::TOO_LARGE => "the value is larger than the limit for one",
            Self::FULL => "the callback has reached its limit",
            Self::ENDING => "the gateway is ending",
            Self::UNREACHABLE => "there is no connection",
            Self::TIMEOUT => "it was not done in time",
            _ => "the gateway refused it",
        }
    }
}

/// A refusal of a service: what kind, and a sentence for the log. Never holds a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// What kind.
    pub kind: HostErrorKind,
    /// In words: lower case, without a full stop.
    pub message: String,
}

impl HostError {
    /// An error of this kind; what a test's scripted answer fails with.
    pub fn new(kind: HostErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The error behind a bare number; 0 is none.
    pub(crate) fn from_number(number: u32) -> Result<(), Self> {
        match HostErrorKind(number) {
            HostErrorKind(0) => Ok(()),
            kind => Err(Self::new(kind, kind.text())),
        }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for HostError {}

impl From<RawHostError> for HostError {
    fn from(raw: RawHostError) -> Self {
        Self { kind: HostErrorKind(raw.kind), message: raw.message.into() }
    }
}

impl From<HostError> for RawHostError {
    fn from(error: HostError) -> Self {
        Self { kind: error.kind.0, message: error.message.into() }
    }
}
