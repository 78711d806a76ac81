//! Values with an expiry, in the gateway's memory. Each entry of the config, or each `share`, has
//! one [`KvStore`] for the life of the process, so values survive the callback's instances.

use super::clock::Clock;
use plugin_api::{
    HostError, HostErrorKind,
    abi::serve::{KvService, Page},
};
use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

mod eviction;

const MAX_KEY: usize = 1024;
const MAX_VALUE: usize = 1024 * 1024;
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_KEYS: usize = 65_536;
const SHARDS: usize = 16;

/// The values of one callback, in 16 shards. Reading takes a shard's shared lock.
pub(super) struct KvStore {
    clock: Arc<dyn Clock>,
    shards: [Shard; SHARDS],
    hasher: RandomState,
    /// The bytes of keys and values, including expired ones that are not swept yet.
    bytes: AtomicUsize,
    keys: AtomicUsize,
}

/// A lock in its own cache line.
#[repr(align(64))]
#[derive(Default)]
struct Shard(RwLock<Values>);

#[derive(Default)]
struct Values {
    by_key: HashMap<Box<str>, Value>,
    /// No value expires before this; `None` if none expires.
    first_end: Option<u64>,
}

struct Value {
    bytes: Box<[u8]>,
    /// On the monotonic clock, in nanoseconds; `None` for no expiry.
    ends: Option<u64>,
    /// The time of its last use, if it may make room for others.
    evictable: Option<AtomicU64>,
}

impl Value {
    fn is_over(&self, now: u64) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }
}

impl KvStore {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            shards: std::array::from_fn(|_| Shard::default()),
            hasher: RandomState::new(),
            bytes: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
        }
    }

    fn shard(&self, key: &str) -> &RwLock<Values> {
        let hash = usize::try_from(self.hasher.hash_one(key)).unwrap_or_default();
        &self.shards[hash % SHARDS].0
    }

    /// Stores a value, unless there is no room for it. `used` is the time if it may make room for
    /// others.
    fn put(&self, key: &str, value: &[u8], ends: Option<u64>, used: Option<u64>) -> bool {
        let mut values = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        let before = values.by_key.get(key).map(|value| value.bytes.len());
        let (freed, taken) = match before {
            Some(before) => (before, value.len()),
            None => (0, key.len() + value.len()),
        };
        let room =
            |bytes: usize| (bytes + taken).checked_sub(freed).filter(|bytes| *bytes <= MAX_BYTES);
        if self.bytes.fetch_update(Relaxed, Relaxed, room).is_err() {
            return false;
        }
        let another = |keys: usize| (keys < MAX_KEYS).then_some(keys + 1);
        if before.is_none() && self.keys.fetch_update(Relaxed, Relaxed, another).is_err() {
            self.bytes.fetch_sub(taken, Relaxed);
            return false;
        }
        values.first_end = match (values.first_end, ends) {
            (Some(first), Some(ends)) => Some(first.min(ends)),
            (first, ends) => first.or(ends),
        };
        values.by_key.insert(
            key.into(),
            Value { bytes: value.into(), ends, evictable: used.map(AtomicU64::new) },
        );
        true
    }

    /// The time, and the expiry of a value that lives this long.
    fn times(&self, live: Option<Duration>) -> (u64, Option<u64>) {
        let now = self.clock.monotonic_ns();
        let live = live.map(|live| u64::try_from(live.as_nanos()).unwrap_or(u64::MAX));
        (now, live.map(|live| now.saturating_add(live)))
    }

    /// Drops expired values. A shard without any is skipped, so that a callback that fills a full
    /// store does not cost each call a walk through all of it.
    fn sweep(&self) {
        for Shard(shard) in &self.shards {
            let mut values = shard.write().unwrap_or_else(PoisonError::into_inner);
            let now = self.clock.monotonic_ns();
            if values.first_end.is_none_or(|first| first > now) {
                continue;
            }
            let (mut bytes, mut keys, mut first_end) = (0, 0, None::<u64>);
            values.by_key.retain(|key, value| {
                if value.is_over(now) {
                    bytes += key.len() + value.bytes.len();
                    keys += 1;
                    return false;
                }
                first_end = match (first_end, value.ends) {
                    (Some(first), Some(ends)) => Some(first.min(ends)),
                    (first, ends) => first.or(ends),
                };
                true
            });
            values.first_end = first_end;
            self.bytes.fetch_sub(bytes, Relaxed);
            self.keys.fetch_sub(keys, Relaxed);
        }
    }
}

fn check(key: &str, value: &[u8]) -> Result<(), HostError> {
    if key.is_empty() || key.len() > MAX_KEY {
        let text = format!("expected a key of 1 to {MAX_KEY} bytes, found {}", key.len());
        return Err(HostError::new(HostErrorKind::INVALID, text));
    }
    if value.len() > MAX_VALUE {
        let text = format!("expected a value up to {MAX_VALUE} bytes, found {}", value.len());
        return Err(HostError::new(HostErrorKind::TOO_LARGE, text));
    }
    Ok(())
}

fn full() -> HostError {
    HostError::new(HostErrorKind::FULL, "the callback's key-value store is full")
}

impl KvService for KvStore {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let values = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        let value = values.by_key.get(key)?;
        if value.ends.is_some() || value.evictable.is_some() {
            let now = self.clock.monotonic_ns();
            if value.is_over(now) {
                return None;
            }
            if let Some(used) = &value.evictable {
                used.store(now, Relaxed);
            }
        }
        Some(value.bytes.to_vec())
    }

    fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError> {
        check(key, value)?;
        let (_, ends) = self.times(live);
        if self.put(key, value, ends, None) {
            return Ok(());
        }
        self.sweep();
        self.put(key, value, ends, None).then_some(()).ok_or_else(full)
    }

    fn set_evicting(
        &self,
        key: &str,
        value: &[u8],
        live: Option<Duration>,
    ) -> Result<(), HostError> {
        check(key, value)?;
        let (now, ends) = self.times(live);
        if self.put(key, value, ends, Some(now)) {
            return Ok(());
        }
        self.sweep();
        // Other threads may take the room before this one does.
        while !self.put(key, value, ends, Some(now)) {
            if !self.evict(key.len() + value.len()) {
                return Err(full());
            }
        }
        Ok(())
    }

    fn list(&self, page: Page<'_>) -> Vec<(String, i64)> {
        let (now, mut found) = (self.clock.monotonic_ns(), Vec::new());
        for Shard(shard) in &self.shards {
            let values = shard.read().unwrap_or_else(PoisonError::into_inner);
            let here = values.by_key.iter().filter(|(key, it)| !it.is_over(now) && page.has(key));
            found.extend(here.map(|(key, value)| {
                (String::from(&**key), i64::try_from(value.bytes.len()).unwrap_or(i64::MAX))
            }));
        }
        page.cut(found)
    }

    fn delete(&self, key: &str) -> bool {
        let mut values = self.shard(key).write().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = values.by_key.remove(key) else { return false };
        self.bytes.fetch_sub(key.len() + value.bytes.len(), Relaxed);
        self.keys.fetch_sub(1, Relaxed);
        !value.is_over(self.clock.monotonic_ns())
    }
}

#[cfg(test)]
mod tests;
