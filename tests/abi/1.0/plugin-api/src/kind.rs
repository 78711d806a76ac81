//! Numbers with names: kinds that may grow, so never Rust enums across the boundary.

/// The API a client speaks to the gateway. New ones may appear: compare, do not match exhaustively.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint(pub u32);

impl Endpoint {
    /// `/v1/chat/completions` and its aliases.
    pub const CHAT: Self = Self(1);
    /// `/v1/completions`.
    pub const COMPLETIONS: Self = Self(2);
    /// `/v1/embeddings`.
    pub const EMBEDDINGS: Self = Self(3);
    /// `/v1/responses`.
    pub const RESPONSES: Self = Self(4);
    /// `/v1/messages`.
    pub const MESSAGES: Self = Self(5);
}

/// What ended a call before its answer was complete. New ones may appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FailureKind(pub u32);

impl FailureKind {
    /// Refused by a later callback; no upstream was asked.
    pub const REJECTED: Self = Self(1);
    /// Refused by validation (unknown model, bad parameters); no upstream was asked.
    pub const INVALID: Self = Self(2);
    /// A later callback broke before an upstream was asked.
    pub const FAULT: Self = Self(3);
    /// The upstream answered with an error status.
    pub const UPSTREAM_STATUS: Self = Self(4);
    /// The upstream could not be reached, or its answer was not one.
    pub const UPSTREAM_UNREACHABLE: Self = Self(5);
    /// The upstream took too long.
    pub const TIMEOUT: Self = Self(6);
    /// The upstream's stream broke off.
    pub const BROKEN_STREAM: Self = Self(7);
    /// The client hung up.
    pub const CLIENT_GONE: Self = Self(8);
    /// The gateway itself failed.
    pub const INTERNAL: Self = Self(9);
    /// A callback refused the upstream's answer, or broke on it.
    pub const REPLY_REFUSED: Self = Self(10);

    /// Whether the failure came before any upstream was asked, so that the call cost nothing.
    #[must_use]
    pub fn before_upstream(self) -> bool {
        matches!(self, Self::REJECTED | Self::INVALID | Self::FAULT)
    }
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is odd.
    Warn = 2,
    /// Worth knowing in normal operation.
    Info = 3,
    /// For the callback's author.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Level {
    /// The level of a number; beyond the range, the nearest.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            0 | 1 => Self::Error,
            2 => Self::Warn,
            3 => Self::Info,
            4 => Self::Debug,
            _ => Self::Trace,
        }
    }
}
