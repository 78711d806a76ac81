//! The policy of an entry: the calls and hooks it is for, where its hooks run, their time limit,
//! and the effect of faults. The chain enforces it.

use crate::problem::SourceLocation;
use std::time::Duration;

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
    /// In place, on copies that are dropped: the callback changes nothing, and what it would have
    /// done is counted.
    Shadow,
}

/// What the client of a stream gets while the callback's hooks have not seen all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// Each chunk once the callbacks' hooks have seen it.
    Relayed,
    /// Nothing: the stream is collected, and its end hooks may still change or reject it.
    Buffered,
}

impl Streams {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Relayed => "relayed",
            Self::Buffered => "buffered",
        }
    }
}

/// A share of all calls, in ten thousandths, from `from` up to but not including `to`. Which share
/// a call is in depends on its caller alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canary {
    /// At least 0.
    pub from: u16,
    /// At most 10,000, and above `from`.
    pub to: u16,
}

impl std::str::FromStr for Canary {
    type Err = ();

    /// `10%` for the first tenth, `10%-100%` for the rest.
    fn from_str(text: &str) -> Result<Self, ()> {
        let share = |text: &str| -> Result<u16, ()> {
            let percent: f64 =
                text.trim().trim_end_matches('%').trim_end().parse().map_err(|_| ())?;
            let fits = (0.0..=100.0).contains(&percent) && text.trim().ends_with('%');
            // Within bounds, and a fraction below a hundredth of a percent is dropped.
            if fits { Ok((percent * 100.0).round() as u16) } else { Err(()) }
        };
        let (from, to) = match text.split_once('-') {
            Some((from, to)) => (share(from)?, share(to)?),
            None => (0, share(text)?),
        };
        if from < to { Ok(Self { from, to }) } else { Err(()) }
    }
}

/// Some of all calls. A call has to match an item of each list; an empty list matches all. In all
/// but `endpoints`, `*` stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallScope {
    /// Model names.
    pub models: Vec<String>,
    /// `chat`, `completions`, `embeddings`, `responses`, `messages`.
    pub endpoints: Vec<String>,
    /// Paths of the request.
    pub paths: Vec<String>,
    /// Ids of keys, as callbacks see them.
    pub keys: Vec<String>,
    /// The `user` of a key.
    pub users: Vec<String>,
    /// The `team` of a key.
    pub teams: Vec<String>,
    /// The `tags` of a key; one of them has to match.
    pub tags: Vec<String>,
    /// Tags that the client sent; one of them has to match.
    pub request_tags: Vec<String>,
    /// Names of request headers in lower case, each with the values that match.
    pub headers: Vec<(String, Vec<String>)>,
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
            Self::Shadow => "shadow",
        }
    }
}
