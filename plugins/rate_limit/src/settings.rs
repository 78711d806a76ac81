//! Reads the settings and makes the limits. All errors say what to do, and begin with the path of
//! the setting.

use crate::limit::{Limit, LimitKey};
use plugin_api::Pattern;
use serde::{Deserialize, Deserializer, de};
use std::{collections::HashMap, fmt, time::Duration};

/// The largest number of requests in a window. Each takes 16 bytes, up to 32 while the window
/// grows: 160 to 320 MB.
const MOST_REQUESTS: u64 = 10_000_000;

const LONGEST: Duration = Duration::from_secs(31 * 86_400);

/// The settings as written in the config. The crate's documentation explains them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    limits: Option<Vec<LimitSettings>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitSettings {
    provider: Option<String>,
    model: Option<String>,
    key: Option<String>,
    requests: u64,
    #[serde(deserialize_with = "span")]
    per: Duration,
    #[serde(default)]
    each: bool,
    message: Option<String>,
}

/// The reason why the settings cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SettingsError {
    NoLimits,
    TooMany,
    Limit { index: usize, problem: Problem },
}

/// The reason why a limit cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    NoSubject,
    SeveralSubjects,
    EmptyPattern,
    Requests(u64),
    Per(Duration),
    SameAs(usize),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLimits => out.write_str(
                "expected at least one limit, found none; remove `limits` for the default ones, \
                 or `rate_limit` from the callbacks for no limits",
            ),
            Self::TooMany => out.write_str(
                "expected at most 65535 limits, found more; use patterns with `*` and `each: true`",
            ),
            Self::Limit { index, problem } => {
                write!(out, "limits[{index}]{}: {problem}", problem.member())
            }
        }
    }
}

impl Problem {
    /// Returns the path of the faulty setting within the limit, if there is one.
    fn member(&self) -> &'static str {
        match self {
            Self::Requests(_) => ".requests",
            Self::Per(_) => ".per",
            Self::NoSubject | Self::SeveralSubjects | Self::EmptyPattern | Self::SameAs(_) => "",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = "expected one of `provider`, `model`, `key`";
        match self {
            Self::NoSubject => write!(out, "{one}, found none; `provider: \"*\"` counts all calls"),
            Self::SeveralSubjects => {
                write!(out, "{one}, found several; a call must pass all limits, so write two")
            }
            Self::EmptyPattern => {
                out.write_str("expected a pattern, found an empty text; `*` stands for any text")
            }
            Self::Requests(found) => write!(
                out,
                "expected `requests` from 1 to {MOST_REQUESTS}, found {found}; for no limit, \
                 remove it"
            ),
            Self::Per(found) => {
                write!(out, "expected `per` from 1ms to 31d, found {} s", found.as_secs_f64())
            }
            Self::SameAs(other) => write!(
                out,
                "counts the same calls over the same span as `limits[{other}]`; keep the smaller one"
            ),
        }
    }
}

impl std::error::Error for SettingsError {}

impl Settings {
    pub(crate) fn limits(self) -> Result<Vec<Limit>, SettingsError> {
        let limits = match self.limits {
            None => return Ok(default_limits()),
            Some(limits) if limits.is_empty() => return Err(SettingsError::NoLimits),
            Some(limits) if limits.len() > usize::from(u16::MAX) => {
                return Err(SettingsError::TooMany);
            }
            Some(limits) => limits,
        };
        let mut first = HashMap::new();
        limits
            .into_iter()
            .enumerate()
            .map(|(index, settings)| {
                let at = |problem| SettingsError::Limit { index, problem };
                let limit = settings.limit().map_err(at)?;
                let same = (limit.subject, limit.pattern.clone(), limit.per);
                match first.insert(same, index) {
                    Some(other) => Err(at(Problem::SameAs(other))),
                    None => Ok(limit),
                }
            })
            .collect()
    }
}

impl LimitSettings {
    fn limit(self) -> Result<Limit, Problem> {
        let Self { provider, model, key, requests, per, each, message } = self;
        let (subject, pattern) = match (provider, model, key) {
            (Some(pattern), None, None) => (LimitKey::Provider, pattern),
            (None, Some(pattern), None) => (LimitKey::Model, pattern),
            (None, None, Some(pattern)) => (LimitKey::Key, pattern),
            (None, None, None) => return Err(Problem::NoSubject),
            _ => return Err(Problem::SeveralSubjects),
        };
        if pattern.is_empty() {
            return Err(Problem::EmptyPattern);
        }
        if !(1..=MOST_REQUESTS).contains(&requests) {
            return Err(Problem::Requests(requests));
        }
        if !(Duration::from_millis(1)..=LONGEST).contains(&per) {
            return Err(Problem::Per(per));
        }
        let pattern = match subject {
            LimitKey::Model => pattern.to_ascii_lowercase(),
            LimitKey::Provider | LimitKey::Key => pattern,
        };
        let mut limit = Limit::new(subject, Pattern::new(&pattern), requests, per, each);
        limit.message = message;
        Ok(limit)
    }
}

fn default_limits() -> Vec<Limit> {
    let per_minute = |provider: &str, requests| {
        let minute = Duration::from_secs(60);
        Limit::new(LimitKey::Provider, Pattern::new(provider), requests, minute, false)
    };
    vec![per_minute("groq", 90), per_minute("openai", 100)]
}

/// A duration: whole seconds, or a text like `60s`.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected `per` as seconds or a duration like `60s`, `1m`, `1h`")]
    enum Span {
        Seconds(u64),
        Text(String),
    }
    match Span::deserialize(deserializer)? {
        Span::Seconds(seconds) => Ok(Duration::from_secs(seconds)),
        Span::Text(text) => duration(&text).ok_or_else(|| {
            de::Error::custom(format!(
                "expected `per` as seconds or a duration like `60s`, `1m`, `1h`, found `{text}`"
            ))
        }),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit.trim() {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_bare_numbers_are_seconds() {
        let cases = [
            ("60s", Some(60_000)),
            ("60", Some(60_000)),
            ("500ms", Some(500)),
            ("1m", Some(60_000)),
            ("2 h", Some(7_200_000)),
            (" 1d ", Some(86_400_000)),
            ("", None),
            ("s", None),
            ("1w", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
