//! Values found by name from many threads: sharded, so that names do not wait for each other.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

const SHARDS: usize = 32;

/// A lock of its own cache line, so that shards do not slow each other down either.
#[repr(align(64))]
struct Shard<T>(RwLock<HashMap<Box<str>, T>>);

/// A map that only grows. A value is used under its shard's shared lock: no clone, and a new name
/// waits only for what is being done to the 1/32 of names beside it.
pub(in crate::host) struct Named<T> {
    shards: [Shard<T>; SHARDS],
    hasher: RandomState,
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        let hasher = RandomState::new();
        Self { shards: std::array::from_fn(|_| Shard(RwLock::default())), hasher }
    }
}

impl<T> Named<T> {
    /// Uses the value of `name`, made by `fresh` when it is new.
    pub(in crate::host) fn with<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        work: impl FnOnce(&T) -> R,
    ) -> R {
        let shard = &self.shards
            [usize::try_from(self.hasher.hash_one(name)).unwrap_or_default() % SHARDS]
            .0;
        {
            let values = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = values.get(name) {
                return work(value);
            }
        }
        let mut values = shard.write().unwrap_or_else(PoisonError::into_inner);
        work(values.entry(name.into()).or_insert_with(fresh))
    }
}
