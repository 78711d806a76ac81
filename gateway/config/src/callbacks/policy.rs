//! The policy of an entry: the calls and hooks it is for, where its hooks run, their time limit,
//! and the effect of faults. The chain enforces it.

use std::time::Duration;

use crate::problem::SourceLocation;

/// The effect of a callback's fault on the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The call fails with 503 (the default).
    #[default]
    Fail,
    /// The call goes on as if the callback had not run.
    Ignore,
    /// As `Ignore`, and the callback is switched off until the next start.
    Disable,
}

/// Where the hooks of a sync callback run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// In place, on the thread that serves the call (the default).
    #[default]
    Inline,
    /// On the callback's own threads, with a timeout.
    Blocking,
}

/// The calls that a callback is for. A call has to match an item of each list; an empty list
/// matches all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Only {
    /// Model names; `*` stands for any text.
    pub models: Vec<String>,
    /// `chat`, `completions`, `embeddings`, `responses`, `messages`.
    pub endpoints: Vec<String>,
    /// Ids of keys, as callbacks see them; `*` stands for any text.
    pub keys: Vec<String>,
}

/// One hook of an entry's `hooks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenHook {
    /// One of the four hooks of the ABI; the loader checks whether the plugin has it.
    pub name: String,
    /// The location of the name.
    pub place: SourceLocation,
}

/// The limits of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerLimits {
    /// The number of faults of one hook that opens it; at least 1.
    pub faults: u32,
    /// Within this time.
    pub within: Duration,
    /// How long it stays open before one call probes the callback.
    pub open: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { faults: 5, within: Duration::from_secs(30), open: Duration::from_secs(10) }
    }
}

impl OnError {
    /// The name in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Ignore => "ignore",
            Self::Disable => "disable",
        }
    }
}

impl Mode {
    /// The name in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inline => "inline",
            Self::Blocking => "blocking",
        }
    }
}
