//! Values with an expiry, in the gateway's memory. Each entry of the config, or each `share`, has
//! one [`KvStore`] for the life of the process, so values survive the callback's instances.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use plugin_api::abi::serve::KvService;
use plugin_api::{HostError, HostErrorKind};

use super::clock::Clock;

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

    /// Stores a value, unless there is no room for it.
    fn put(&self, key: &str, value: &[u8], ends: Option<u64>) -> bool {
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
        values.by_key.insert(key.into(), Value { bytes: value.into(), ends });
        true
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

impl KvService for KvStore {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let values = self.shard(key).read().unwrap_or_else(PoisonError::into_inner);
        let value = values.by_key.get(key)?;
        let over = value.ends.is_some() && value.is_over(self.clock.monotonic_ns());
        (!over).then(|| value.bytes.to_vec())
    }

    fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError> {
        if key.is_empty() || key.len() > MAX_KEY {
            let text = format!("expected a key of 1 to {MAX_KEY} bytes, found {}", key.len());
            return Err(HostError::new(HostErrorKind::INVALID, text));
        }
        if value.len() > MAX_VALUE {
            let text = format!("expected a value up to {MAX_VALUE} bytes, found {}", value.len());
            return Err(HostError::new(HostErrorKind::TOO_LARGE, text));
        }
        let ends = live.map(|live| {
            let live = u64::try_from(live.as_nanos()).unwrap_or(u64::MAX);
            self.clock.monotonic_ns().saturating_add(live)
        });
        if self.put(key, value, ends) {
            return Ok(());
        }
        self.sweep();
        if self.put(key, value, ends) {
            return Ok(());
        }
        Err(HostError::new(HostErrorKind::FULL, "the callback's key-value store is full"))
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
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Hand {
        fn set(&self, ns: u64) {
            self.0.store(ns, Relaxed);
        }
    }

    impl Clock for Hand {
        fn monotonic_ns(&self) -> u64 {
            self.0.load(Relaxed)
        }
        fn unix_ms(&self) -> u64 {
            0
        }
    }

    const SECOND: u64 = 1_000_000_000;

    fn store() -> (Arc<Hand>, KvStore) {
        let clock = Arc::new(Hand::default());
        (Arc::clone(&clock), KvStore::new(clock))
    }

    fn kind(done: Result<(), HostError>) -> HostErrorKind {
        done.expect_err("refused").kind
    }

    #[test]
    fn a_value_ends_to_the_nanosecond() {
        let (clock, store) = store();
        store.set("k", b"v", Some(Duration::from_secs(1))).unwrap();
        store.set("for ever", b"", None).unwrap();
        clock.set(SECOND - 1);
        assert_eq!(store.get("k").as_deref(), Some(&b"v"[..]));
        clock.set(SECOND);
        assert_eq!(store.get("k"), None);
        assert!(!store.delete("k"), "its time is over");
        assert_eq!(store.get("for ever"), Some(Vec::new()));
        store.set("k", b"w", Some(Duration::MAX)).unwrap();
        clock.set(u64::MAX - 1);
        assert_eq!(store.get("k").as_deref(), Some(&b"w"[..]));
    }

    #[test]
    fn it_is_bounded_by_bytes_and_keys_and_counts_exactly() {
        let (clock, store) = store();
        assert_eq!(kind(store.set("", b"", None)), HostErrorKind::INVALID);
        assert_eq!(kind(store.set(&"k".repeat(MAX_KEY + 1), b"", None)), HostErrorKind::INVALID);
        assert_eq!(kind(store.set("k", &vec![0; MAX_VALUE + 1], None)), HostErrorKind::TOO_LARGE);
        let big = vec![7; MAX_VALUE];
        for index in 0..15 {
            store.set(&format!("b{index:02}"), &big, Some(Duration::from_secs(1))).unwrap();
        }
        assert_eq!(kind(store.set("b15", &big, None)), HostErrorKind::FULL);
        // An existing value may be replaced, and stays after a refusal.
        store.set("b00", &big, Some(Duration::from_secs(1))).unwrap();
        assert_eq!(store.get("b14").map(|value| value.len()), Some(MAX_VALUE));
        clock.set(SECOND);
        store.set("b15", &big, None).unwrap();
        assert_eq!(store.bytes.load(Relaxed), 3 + MAX_VALUE);
        assert!(store.delete("b15"));
        for index in 0..MAX_KEYS {
            store.set(&index.to_string(), b"", None).unwrap();
        }
        assert_eq!(kind(store.set("one more", b"", None)), HostErrorKind::FULL);
        for index in 0..MAX_KEYS {
            assert!(store.delete(&index.to_string()));
        }
        assert_eq!((store.bytes.load(Relaxed), store.keys.load(Relaxed)), (0, 0));
    }

    #[test]
    fn threads_that_write_at_once_stay_within_the_bounds() {
        let (_, store) = store();
        let value = vec![0; 64 * 1024];
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (store, value) = (&store, &value);
                scope.spawn(move || {
                    for index in 0..100 {
                        let key = format!("{thread}-{index}");
                        let _ = store.set(&key, value, None);
                        if index % 3 == 0 {
                            store.delete(&key);
                        }
                    }
                });
            }
        });
        let counted: usize = store
            .shards
            .iter()
            .flat_map(|shard| {
                let values = shard.0.read().unwrap();
                let sizes: Vec<_> =
                    values.by_key.iter().map(|(key, it)| key.len() + it.bytes.len()).collect();
                sizes
            })
            .sum();
        assert_eq!(store.bytes.load(Relaxed), counted);
        assert!(counted <= MAX_BYTES);
    }
}
