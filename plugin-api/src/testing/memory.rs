//! The mock host's key-value store. It has the gateway's limits and errors, but is slower.

use crate::{
    HostError, HostErrorKind,
    abi::serve::{KvService, Page},
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

const MAX_KEY: usize = 1024;
const MAX_VALUE: usize = 1024 * 1024;
const MAX_BYTES: usize = 16 * 1024 * 1024;
const MAX_KEYS: usize = 65_536;

#[derive(Default)]
pub(super) struct MockKv(Mutex<Values>);

#[derive(Default)]
struct Values {
    now: u64,
    bytes: usize,
    /// How often a value was set or read.
    uses: u64,
    values: BTreeMap<String, Value>,
}

struct Value {
    bytes: Vec<u8>,
    /// The expiry, in nanoseconds on the mock's clock.
    ends: u64,
    /// The number of its last use, if it may make room for others.
    evictable: Option<u64>,
}

impl Values {
    /// Sets a value. Returns whether there was room for it.
    fn put(&mut self, key: &str, value: &[u8], live: Option<Duration>, may_go: bool) -> bool {
        let before = self.values.get(key).map(|value| key.len() + value.bytes.len());
        let bytes = self.bytes - before.unwrap_or_default() + key.len() + value.len();
        if bytes > MAX_BYTES || (before.is_none() && self.values.len() >= MAX_KEYS) {
            return false;
        }
        let live = live.map_or(u64::MAX, |live| u64::try_from(live.as_nanos()).unwrap_or(u64::MAX));
        let ends = self.now.saturating_add(live);
        self.uses += 1;
        let evictable = may_go.then_some(self.uses);
        let value = Value { bytes: value.to_vec(), ends, evictable };
        self.values.insert(key.to_owned(), value);
        self.bytes = bytes;
        true
    }

    /// Drops the least recently used of the values that may go, but not `key`.
    fn evict_one(&mut self, key: &str) -> bool {
        let others = self.values.iter().filter(|(other, _)| *other != key);
        let oldest = others.filter_map(|(key, value)| Some((value.evictable?, key))).min();
        let Some(key) = oldest.map(|(_, key)| key.clone()) else { return false };
        self.remove(&key)
    }

    fn remove(&mut self, key: &str) -> bool {
        let removed = self.values.remove(key);
        if let Some(value) = &removed {
            self.bytes -= key.len() + value.bytes.len();
        }
        removed.is_some()
    }
}

fn check(key: &str, value: &[u8]) -> Result<(), HostError> {
    let refuse = |kind, text: &str| Err(HostError::new(kind, text));
    if key.is_empty() || key.len() > MAX_KEY {
        return refuse(HostErrorKind::INVALID, "expected a key of 1 to 1024 bytes");
    }
    if value.len() > MAX_VALUE {
        return refuse(HostErrorKind::TOO_LARGE, "expected a value of at most 1 MiB");
    }
    Ok(())
}

fn full() -> HostError {
    HostError::new(HostErrorKind::FULL, "the store is full")
}

impl MockKv {
    fn values(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_now(&self, now: u64) {
        let mut values = self.values();
        values.now = values.now.max(now);
        let now = values.now;
        values.values.retain(|_, value| value.ends > now);
        values.bytes = values.values.iter().map(|(key, value)| key.len() + value.bytes.len()).sum();
    }
}

impl KvService for MockKv {
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut values = self.values();
        values.uses += 1;
        let uses = values.uses;
        let value = values.values.get_mut(key)?;
        value.evictable = value.evictable.map(|_| uses);
        Some(value.bytes.clone())
    }

    fn set(&self, key: &str, value: &[u8], live: Option<Duration>) -> Result<(), HostError> {
        check(key, value)?;
        self.values().put(key, value, live, false).then_some(()).ok_or_else(full)
    }

    fn set_evicting(
        &self,
        key: &str,
        value: &[u8],
        live: Option<Duration>,
    ) -> Result<(), HostError> {
        check(key, value)?;
        let mut values = self.values();
        while !values.put(key, value, live, true) {
            if !values.evict_one(key) {
                return Err(full());
            }
        }
        Ok(())
    }

    fn list(&self, page: Page<'_>) -> Vec<(String, i64)> {
        let values = self.values();
        let in_page = values.values.iter().filter(|(key, _)| page.has(key));
        let length = |value: &Value| i64::try_from(value.bytes.len()).unwrap_or(i64::MAX);
        page.cut(in_page.map(|(key, value)| (key.clone(), length(value))).collect())
    }

    fn delete(&self, key: &str) -> bool {
        self.values().remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_bounded_and_forgets_in_time() {
        let kv = MockKv::default();
        let kind = |done: Result<(), HostError>| done.unwrap_err().kind;
        assert_eq!(kind(kv.set("", b"", None)), HostErrorKind::INVALID);
        assert_eq!(kind(kv.set("k", &vec![0; MAX_VALUE + 1], None)), HostErrorKind::TOO_LARGE);
        for index in 0..15 {
            kv.set(&format!("k{index}"), &vec![0; MAX_VALUE], Some(Duration::from_secs(1)))
                .unwrap();
        }
        assert_eq!(kind(kv.set("last", &vec![0; MAX_VALUE], None)), HostErrorKind::FULL);
        kv.set_now(999_999_999);
        assert!(kv.get("k0").is_some());
        kv.set_now(1_000_000_000);
        assert!(kv.get("k0").is_none());
        kv.set("last", &vec![0; MAX_VALUE], None).unwrap();
        assert!(kv.delete("last") && !kv.delete("last"));
    }

    #[test]
    fn the_least_recently_used_make_room_and_others_stay() {
        let kv = MockKv::default();
        kv.set("kept", &vec![0; MAX_VALUE], None).unwrap();
        for index in 0..14 {
            kv.set_evicting(&format!("k{index:02}"), &vec![0; MAX_VALUE], None).unwrap();
        }
        assert!(kv.get("k00").is_some());
        kv.set_evicting("k14", &vec![0; MAX_VALUE], None).unwrap();
        assert!(kv.get("k00").is_some() && kv.get("k01").is_none() && kv.get("kept").is_some());
        let page = Page { prefix: "k", after: "k02", most: 2 };
        assert_eq!(kv.list(page), [("k03".to_owned(), 1 << 20), ("k04".to_owned(), 1 << 20)]);
    }
}
