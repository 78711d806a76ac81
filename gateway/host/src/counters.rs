//! Counters in the gateway's memory: exact sliding windows, token buckets, plain numbers.
//! [`Counters`] lives as long as the process, so a callback's counts survive its instances.
//!
//! Callbacks use them as `plugin_api`'s `CounterService`, which a shared store could implement,
//! too.

mod bucket;
mod sharded_map;
#[cfg(test)]
mod tests;
mod window;

use super::clock::{Clock, SystemClock};
use bucket::Bucket;
use plugin_api::{
    Admission,
    abi::serve::{CounterService, Page},
};
pub(super) use sharded_map::ShardedMap;
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};
use window::Window;

/// All counters of the gateway, one scope per entry of the config, or per `share`.
pub struct Counters {
    clock: Arc<dyn Clock>,
    scopes: ShardedMap<Arc<CounterScope>>,
}

impl Counters {
    /// Counters that use the system's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// Counters that use another clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { clock, scopes: ShardedMap::default() }
    }

    /// The clock of these counters.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The counters of one scope: the same for every instance, also after a restart.
    #[must_use]
    pub fn scope(&self, callback: &str) -> Arc<CounterScope> {
        let fresh = || Arc::new(CounterScope::new(Arc::clone(&self.clock)));
        self.scopes.with(callback, fresh, Arc::clone)
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counters").finish_non_exhaustive()
    }
}

/// The counters of one scope. Windows, buckets and numbers have separate names. Names may come from
/// clients, so empty windows, full buckets and zero numbers are dropped. At most 65 536 other
/// numbers are kept; beyond that the least recently used are dropped. A number with an expiry is
/// kept at zero, too, so that its time does not start again.
pub struct CounterScope {
    clock: Arc<dyn Clock>,
    windows: ShardedMap<Mutex<Window>>,
    buckets: ShardedMap<Mutex<Bucket>>,
    numbers: ShardedMap<Number>,
}

/// A plain number, when it last changed, and when it expires. Many threads may add to it at once;
/// its expiry changes only while no other thread uses it.
#[derive(Debug, Default)]
struct Number {
    value: AtomicI64,
    last_used: AtomicU64,
    /// 0 for no expiry.
    ends: AtomicU64,
}

impl Number {
    /// Adds to it, unless its expiry has to change first.
    fn try_add(&self, delta: i64, now: u64, expires: bool) -> Option<i64> {
        let ends = self.ends.load(Ordering::Relaxed);
        let must_change = if ends == 0 { expires } else { ends <= now };
        (!must_change).then(|| self.add(delta, now))
    }

    /// Starts again if its time has passed, and takes the expiry if it has none.
    fn renew(&self, now: u64, live: Option<u64>) {
        if self.is_over(now) {
            self.value.store(0, Ordering::Relaxed);
            self.ends.store(0, Ordering::Relaxed);
        }
        if let Some(live) = live
            && self.ends.load(Ordering::Relaxed) == 0
        {
            self.ends.store(now.saturating_add(live).max(1), Ordering::Relaxed);
        }
    }

    fn add(&self, delta: i64, now: u64) -> i64 {
        self.last_used.store(now, Ordering::Relaxed);
        self.value.fetch_add(delta, Ordering::Relaxed).wrapping_add(delta)
    }

    fn is_over(&self, now: u64) -> bool {
        let ends = self.ends.load(Ordering::Relaxed);
        ends != 0 && ends <= now
    }

    /// Whether a new number would be the same.
    fn is_idle(&self, now: u64) -> bool {
        let is_fresh = self.value.load(Ordering::Relaxed) == 0;
        (is_fresh && self.ends.load(Ordering::Relaxed) == 0) || self.is_over(now)
    }

    /// Its value, as others see it.
    fn value(&self, now: u64) -> i64 {
        if self.is_over(now) { 0 } else { self.value.load(Ordering::Relaxed) }
    }

    fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Relaxed)
    }
}

impl CounterScope {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            windows: ShardedMap::default(),
            buckets: ShardedMap::default(),
            numbers: ShardedMap::default(),
        }
    }

    /// Adds to a number, which expires after `live` unless it has an expiry already.
    fn change(&self, name: &str, delta: i64, live: Option<u64>) -> i64 {
        let now = self.clock.monotonic_ns();
        let ends = (|number: &Number| number.is_idle(now), Number::last_used);
        let add = |number: &Number| number.try_add(delta, now, live.is_some());
        if let Some(value) = self.numbers.with_bound(name, Number::default, ends, add) {
            return value;
        }
        self.numbers.with_alone(name, Number::default, |number| {
            number.renew(now, live);
            number.add(delta, now)
        })
    }

    /// Whether a value may be dropped. The clock is read only if a new name needs to know.
    fn idle<T>(&self, is_idle: impl Fn(&T, u64) -> bool) -> impl Fn(&Mutex<T>) -> bool {
        move |value| {
            let value = value.lock().unwrap_or_else(PoisonError::into_inner);
            is_idle(&value, self.clock.monotonic_ns())
        }
    }
}

impl fmt::Debug for CounterScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CounterScope").finish_non_exhaustive()
    }
}

impl CounterService for CounterScope {
    fn admit(&self, name: &str, limit: u64, span: Duration) -> Admission {
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let fresh = || Mutex::new(Window::new(self.clock.monotonic_ns()));
        self.windows.with_sweep(name, fresh, self.idle(Window::is_empty), |window| {
            let mut window = window.lock().unwrap_or_else(PoisonError::into_inner);
            // The time is read under the lock, so that a window's times never go back.
            window.admit(self.clock.monotonic_ns(), limit, span)
        })
    }

    fn release(&self, name: &str, ticket: u64) {
        self.windows.get(name, |window| {
            window.lock().unwrap_or_else(PoisonError::into_inner).release(ticket);
        });
    }

    fn take(&self, name: &str, rate: f64, burst: f64, tokens: f64) -> Admission {
        self.buckets.with_sweep(name, Mutex::default, self.idle(Bucket::is_full), |bucket| {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(self.clock.monotonic_ns(), rate, burst, tokens)
        })
    }

    fn add(&self, name: &str, delta: i64) -> i64 {
        self.change(name, delta, None)
    }

    fn add_for(&self, name: &str, delta: i64, live: Duration) -> i64 {
        self.change(name, delta, Some(u64::try_from(live.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn remove(&self, name: &str) -> i64 {
        let now = self.clock.monotonic_ns();
        self.numbers.remove(name).map_or(0, |number| number.value(now))
    }

    fn list(&self, page: Page<'_>) -> Vec<(String, i64)> {
        let (now, mut found) = (self.clock.monotonic_ns(), Vec::new());
        self.numbers.for_each(|name, number| {
            let value = number.value(now);
            if value != 0 && page.has(name) {
                found.push((name.to_owned(), value));
            }
        });
        page.cut(found)
    }
}
