//! Values found by name from many threads: sharded, so that names do not wait for each other.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

const SHARDS: usize = 32;

/// Names in a shard below which none is looked for that could be forgotten.
const FEW: usize = 64;

/// A lock of its own cache line, so that shards do not slow each other down either.
#[repr(align(64))]
struct Shard<T>(RwLock<Values<T>>);

struct Values<T> {
    by_name: HashMap<Box<str>, T>,
    /// With so many names, those whose values mean nothing any more are forgotten.
    swept_at: usize,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), swept_at: FEW }
    }
}

impl<T> Values<T> {
    /// Forgets, once the names have doubled since the last time, so that it costs each new name
    /// the same however many there are.
    fn sweep(&mut self, is_idle: impl Fn(&T) -> bool) {
        if self.by_name.len() < self.swept_at {
            return;
        }
        self.by_name.retain(|_, value| !is_idle(value));
        self.swept_at = (self.by_name.len() * 2).max(FEW);
        self.by_name.shrink_to(self.swept_at);
    }
}

/// A map that forgets only what its user calls idle. A value is used under its shard's shared lock:
/// no clone, and a new name waits only for what is being done to the 1/32 of names beside it.
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
    /// Uses the value of `name`, made by `fresh` when it is new. Nothing is ever forgotten.
    pub(in crate::host) fn with<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        work: impl FnOnce(&T) -> R,
    ) -> R {
        self.with_sweep(name, fresh, |_| false, work)
    }

    /// The same; a new name makes others be forgotten whose values are idle: as good as fresh ones.
    pub(in crate::host) fn with_sweep<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        is_idle: impl Fn(&T) -> bool,
        work: impl FnOnce(&T) -> R,
    ) -> R {
        let shard = self.shard(name);
        {
            let values = shard.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(value) = values.by_name.get(name) {
                return work(value);
            }
        }
        let mut values = shard.write().unwrap_or_else(PoisonError::into_inner);
        values.sweep(is_idle);
        work(values.by_name.entry(name.into()).or_insert_with(fresh))
    }

    /// Uses the value of `name` if there is one.
    pub(in crate::host) fn get<R>(&self, name: &str, work: impl FnOnce(&T) -> R) -> Option<R> {
        let values = self.shard(name).read().unwrap_or_else(PoisonError::into_inner);
        values.by_name.get(name).map(work)
    }

    fn shard(&self, name: &str) -> &RwLock<Values<T>> {
        let hash = usize::try_from(self.hasher.hash_one(name)).unwrap_or_default();
        &self.shards[hash % SHARDS].0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[test]
    fn idle_values_are_forgotten_at_a_cost_that_does_not_grow() {
        let (named, looked) = (Named::<AtomicBool>::default(), AtomicUsize::new(0));
        let is_idle = |value: &AtomicBool| {
            looked.fetch_add(1, Relaxed);
            value.load(Relaxed)
        };
        let names = 100_000;
        for name in 0..names {
            let fresh = || AtomicBool::new(name >= 1000);
            named.with_sweep(&name.to_string(), fresh, is_idle, |_| {});
        }
        let kept = |shard: &Shard<_>| shard.0.read().unwrap().by_name.len();
        let kept: usize = named.shards.iter().map(kept).sum();
        assert!(kept <= 2 * 1000 + SHARDS * FEW, "{kept}");
        assert!((0..1000).all(|name| named.get(&name.to_string(), |_| ()).is_some()));
        assert!(looked.into_inner() <= 3 * names);
    }
}
