//! A token bucket: it starts full, refills at a constant rate, and never exceeds its burst.

use plugin_api::Admission;
use std::time::Duration;

/// The tolerance in tokens: rounding errors must not turn "now" into another refusal.
const ROUNDING: f64 = 1e-6;

/// One bucket.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    /// The tokens, and when they were counted; `None` before the first use.
    level: Option<(f64, u64)>,
    /// When it is full again; a full bucket is like a new one.
    full_at: u64,
}

impl Bucket {
    /// Whether it can be dropped without a loss.
    pub(super) fn is_full(&self, now: u64) -> bool {
        self.full_at <= now
    }

    /// Takes `tokens` from a bucket that holds `burst` and gains `rate` per second. NaN and
    /// negative values count as 0; more than `burst` can never be taken.
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
            self.set((level - tokens).max(0.0), now, rate, burst);
            return Admission::Admitted(1);
        }
        self.set(level, now, rate, burst);
        if tokens > burst {
            return Admission::Full(Duration::MAX);
        }
        let wait = Duration::try_from_secs_f64((tokens - level) / rate);
        Admission::Full(wait.unwrap_or(Duration::MAX).max(Duration::from_nanos(1)))
    }

    fn set(&mut self, level: f64, now: u64, rate: f64, burst: f64) {
        self.level = Some((level, now));
        let wait = Duration::try_from_secs_f64((burst - level).max(0.0) / rate);
        let wait = wait.ok().and_then(|wait| u64::try_from(wait.as_nanos()).ok());
        // One nanosecond more than computed, because that may have been rounded down.
        self.full_at = wait.map_or(u64::MAX, |wait| now.saturating_add(wait).saturating_add(1));
    }
}
