//! Makes room in a full store: the least recently used of the values that may go.

use super::{KvStore, MAX_BYTES, MAX_KEYS, Shard, Value};
use std::sync::{PoisonError, atomic::Ordering::Relaxed};

/// This part of the store is freed at once, so that a new value of a full store costs a walk
/// through only as many others on average.
const PART: usize = 16;

impl KvStore {
    /// Frees room for `needed` bytes and for some more values. Returns whether any value may go.
    pub(super) fn evict(&self, needed: usize) -> bool {
        let mut candidates = Vec::new();
        for Shard(shard) in &self.shards {
            let values = shard.read().unwrap_or_else(PoisonError::into_inner);
            let here = values.by_key.iter();
            candidates.extend(here.filter_map(|(key, value)| {
                Some((last_used(value)?, key.len() + value.bytes.len()))
            }));
        }
        candidates.sort_unstable();
        let (mut bytes, mut keys, mut latest) = (0, 0, None);
        for (used, size) in candidates {
            if bytes >= needed && (bytes >= MAX_BYTES / PART || keys >= MAX_KEYS / PART) {
                break;
            }
            (bytes, keys, latest) = (bytes + size, keys + 1, Some(used));
        }
        if let Some(latest) = latest {
            self.drop_until(latest, keys);
        }
        latest.is_some()
    }

    /// Drops at most `most` values that may go and were not used after `latest`.
    fn drop_until(&self, latest: u64, most: usize) {
        let mut left = most;
        for Shard(shard) in &self.shards {
            let mut values = shard.write().unwrap_or_else(PoisonError::into_inner);
            let (mut bytes, before) = (0, left);
            values.by_key.retain(|key, value| {
                let goes = left > 0 && last_used(value).is_some_and(|used| used <= latest);
                if goes {
                    left -= 1;
                    bytes += key.len() + value.bytes.len();
                }
                !goes
            });
            self.bytes.fetch_sub(bytes, Relaxed);
            self.keys.fetch_sub(before - left, Relaxed);
        }
    }
}

fn last_used(value: &Value) -> Option<u64> {
    value.evictable.as_ref().map(|used| used.load(Relaxed))
}
