//! Errors of the host's services.

use crate::abi::RawHostError;
use std::fmt;

/// The kind of a [`HostError`]. New kinds may appear, so compare and have an `else`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HostErrorKind(pub u32);

impl HostErrorKind {
    /// The config does not grant the secret or host to this callback.
    pub const NOT_GRANTED: Self = Self(1);
    /// The variable is granted, but it is blank or not set.
    pub const NOT_SET: Self = Self(2);
    /// The input is not valid: a malformed URL, a metric name with a space, an empty key.
    pub const INVALID: Self = Self(3);
    /// The value or response is larger than its limit.
    pub const TOO_LARGE: Self = Self(4);
    /// The callback has reached its limit of values, metrics, tasks or requests.
    pub const FULL: Self = Self(5);
    /// The gateway is shutting down, or only checks its config.
    pub const ENDING: Self = Self(6);
    /// The connection failed or broke.
    pub const UNREACHABLE: Self = Self(7);
    /// The request took longer than its timeout.
    pub const TIMEOUT: Self = Self(8);
    /// The gateway is older than this crate and lacks this function.
    pub const NOT_SUPPORTED: Self = Self(9);
    /// Nobody takes the stream any longer: the client has left, or the call has failed.
    pub const CLOSED: Self = Self(10);
    /// Calls that callbacks made have led to this one, more than
    /// [`limits::DEPTH`](crate::limits::DEPTH) of them.
    pub const TOO_DEEP: Self = Self(11);

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
            Self::NOT_SUPPORTED => "this gateway is too old for it; update it",
            Self::CLOSED => "nobody takes the stream any longer",
            Self::TOO_DEEP => "calls of callbacks have led to this call",
            _ => "the gateway refused it",
        }
    }
}

/// An error of a service. It never contains a secret's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostError {
    /// The kind, to compare with the constants of [`HostErrorKind`].
    pub kind: HostErrorKind,
    /// The text, for the log: lower case, without a full stop.
    pub message: String,
}

impl HostError {
    /// Creates an error, for a test's scripted response.
    pub fn new(kind: HostErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The error of a function that the gateway lacks.
    pub(crate) fn not_supported() -> Self {
        let kind = HostErrorKind::NOT_SUPPORTED;
        Self::new(kind, kind.text())
    }

    /// Reads the number that a service returned; 0 means success.
    /// The result that a host function returned as a number. `texts` says more than the kind.
    pub(crate) fn from_number(number: u32, texts: &[(HostErrorKind, &str)]) -> Result<(), Self> {
        if number == 0 {
            return Ok(());
        }
        let kind = HostErrorKind(number);
        let text = texts.iter().find(|(of, _)| *of == kind).map_or(kind.text(), |(_, text)| text);
        Err(Self::new(kind, text))
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
