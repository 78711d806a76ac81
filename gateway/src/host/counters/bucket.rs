//! A token bucket: full at first, refilled steadily, never beyond its burst.

use std::time::Duration;

use plugin_api::Admission;

/// What a refusal's wait may fall short by, in tokens: floating point must not turn "now" into
/// another refusal.
const ROUNDING: f64 = 1e-6;

/// One bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// Tokens and the time they were counted at; `None` before the first use.
    level: Option<(f64, u64)>,
}

impl Bucket {
    /// Takes `tokens` of a bucket that holds `burst` and gains `rate` per second. What is no number
    /// or below 0 counts as 0; more than `burst` can never be taken.
    pub(super) fn take(&mut self, now: u64, rate: f64, burst: f64, tokens: f64) -> Admission {
        let [rate, burst, tokens] = [rate, burst, tokens].map(|it| if it > 0.0 { it } else { 0.0 });
        let level = match self.level {
            None => burst,
            Some((level, at)) => {
                let gained = Duration::from_nanos(now.saturating_sub(at)).as_secs_f64() * rate;
                (level + gained).min(burst)
            }
        };
        if tokens <= level + ROUNDING {
            self.level = Some(((level - tokens).max(0.0), now));
            return Admission::Admitted(1);
        }
        self.level = Some((level, now));
        if tokens > burst {
            return Admission::Full(Duration::MAX);
        }
        let wait = Duration::try_from_secs_f64((tokens - level) / rate);
        Admission::Full(wait.unwrap_or(Duration::MAX).max(Duration::from_nanos(1)))
    }
}
