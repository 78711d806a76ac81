//! Kinds that cross the boundary as numbers. They are not Rust enums, because new ones may appear.

/// The API that a client uses. New ones may appear, so compare and have an `else`.
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
    /// `/v1/moderations`.
    pub const MODERATIONS: Self = Self(6);
    /// `/v1/rerank`.
    pub const RERANK: Self = Self(7);
    /// `/v1/images/generations`.
    pub const IMAGES: Self = Self(8);
    /// `/v1/audio/transcriptions`.
    pub const TRANSCRIPTIONS: Self = Self(9);
    /// `/v1/audio/translations`.
    pub const TRANSLATIONS: Self = Self(10);
    /// `/v1/audio/speech`.
    pub const SPEECH: Self = Self(11);
    /// `/v1/images/edits`.
    pub const IMAGE_EDITS: Self = Self(12);
    /// `/v1/messages/count_tokens`.
    pub const COUNT_TOKENS: Self = Self(13);
}

/// The reason why a call failed. New ones may appear, so compare and have an `else`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FailureKind(pub u32);

impl FailureKind {
    /// A later callback rejected the call. No upstream was called.
    pub const REJECTED: Self = Self(1);
    /// The request is not valid (unknown model, bad parameters). No upstream was called.
    pub const INVALID: Self = Self(2);
    /// A later callback failed before an upstream was called.
    pub const FAULT: Self = Self(3);
    /// The upstream answered with an error status.
    pub const UPSTREAM_STATUS: Self = Self(4);
    /// The upstream could not be reached, or its reply cannot be used: a redirect, a page, an
    /// incomplete or overlong reply.
    pub const UPSTREAM_UNREACHABLE: Self = Self(5);
    /// The upstream did not answer in time.
    pub const TIMEOUT: Self = Self(6);
    /// The upstream's stream broke off or is malformed.
    pub const BROKEN_STREAM: Self = Self(7);
    /// The client disconnected.
    pub const CLIENT_GONE: Self = Self(8);
    /// The gateway itself failed.
    pub const INTERNAL: Self = Self(9);
    /// A callback rejected the answer, or failed on it.
    pub const REPLY_REFUSED: Self = Self(10);

    /// Returns whether this kind only occurs before an upstream is called.
    /// [`CallView::upstream_asked`](crate::CallView::upstream_asked) answers the question for every
    /// kind.
    #[must_use]
    pub fn before_upstream(self) -> bool {
        matches!(self, Self::REJECTED | Self::INVALID | Self::FAULT)
    }
}

/// The level of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is wrong, but work continues.
    Warn = 2,
    /// Useful in normal operation.
    Info = 3,
    /// For the callback's author.
    Debug = 4,
    /// Every detail.
    Trace = 5,
}

impl Level {
    /// Returns the level for a number. A number out of range stands for the nearest level.
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
