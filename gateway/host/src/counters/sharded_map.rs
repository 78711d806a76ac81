//! A concurrent map by name. It is sharded, so that threads with different names rarely wait for
//! each other.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::{PoisonError, RwLock},
};

const SHARDS: usize = 32;

/// Below so many names, a shard is not swept.
const FEW: usize = 64;

/// Beyond so many values, a shard of a bounded map drops values that are in use, too.
const MOST: usize = 2048;

/// A lock in its own cache line, so that shards do not slow each other down.
#[repr(align(64))]
struct Shard<T>(RwLock<Values<T>>);

struct Values<T> {
    by_name: HashMap<Box<str>, T>,
    /// The number of names at which idle ones are dropped.
    swept_at: usize,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), swept_at: FEW }
    }
}

impl<T> Values<T> {
    /// Drops idle values once the names have doubled since the last sweep, so that the cost of a
    /// new name does not depend on their number.
    fn sweep(&mut self, is_idle: impl Fn(&T) -> bool) {
        if self.by_name.len() < self.swept_at {
            return;
        }
        self.by_name.retain(|_, value| !is_idle(value));
        self.swept_at = (self.by_name.len() * 2).max(FEW);
        self.by_name.shrink_to(self.swept_at);
    }

    /// Drops the least recently used half if there are too many, so that each new name costs two
    /// checks on average.
    fn keep_within(&mut self, most: usize, last_used: impl Fn(&T) -> u64) {
        if self.by_name.len() < most {
            return;
        }
        let mut used: Vec<u64> = self.by_name.values().map(&last_used).collect();
        let mut too_many = used.len() / 2;
        let (_, latest, _) = used.select_nth_unstable(too_many.saturating_sub(1));
        let latest = *latest;
        self.by_name.retain(|_, value| {
            let goes = too_many > 0 && last_used(value) <= latest;
            too_many -= usize::from(goes);
            !goes
        });
    }
}

/// A map that drops only values that its user calls idle. A value is used under its shard's shared
/// lock, so it is not cloned, and a new name waits only for the users of its own shard.
pub(crate) struct ShardedMap<T> {
    shards: [Shard<T>; SHARDS],
    hasher: RandomState,
}

impl<T> Default for ShardedMap<T> {
    fn default() -> Self {
        let hasher = RandomState::new();
        Self { shards: std::array::from_fn(|_| Shard(RwLock::default())), hasher }
    }
}

impl<T> ShardedMap<T> {
    /// Uses the value of `name`, created by `fresh` if it is new. Drops nothing.
    pub(crate) fn with<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        work: impl FnOnce(&T) -> R,
    ) -> R {
        self.with_sweep(name, fresh, |_| false, work)
    }

    /// The same; a new name may cause a sweep of idle values, which are as good as fresh ones.
    pub(crate) fn with_sweep<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        is_idle: impl Fn(&T) -> bool,
        work: impl FnOnce(&T) -> R,
    ) -> R {
        self.with_room(name, fresh, |values| values.sweep(is_idle), work)
    }

    /// The same with at most 65 536 values; beyond that the least recently used are dropped, too.
    pub(crate) fn with_bound<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        (is_idle, last_used): (impl Fn(&T) -> bool, impl Fn(&T) -> u64),
        work: impl FnOnce(&T) -> R,
    ) -> R {
        let make_room = |values: &mut Values<T>| {
            values.sweep(is_idle);
            values.keep_within(MOST, last_used);
        };
        self.with_room(name, fresh, make_room, work)
    }

    fn with_room<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        make_room: impl FnOnce(&mut Values<T>),
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
        make_room(&mut values);
        work(values.by_name.entry(name.into()).or_insert_with(fresh))
    }

    /// Uses the value of `name`, if it exists.
    pub(crate) fn get<R>(&self, name: &str, work: impl FnOnce(&T) -> R) -> Option<R> {
        let values = self.shard(name).read().unwrap_or_else(PoisonError::into_inner);
        values.by_name.get(name).map(work)
    }

    /// Uses the value of `name`, created by `fresh` if it is new, while no other thread uses it.
    pub(crate) fn with_alone<R>(
        &self,
        name: &str,
        fresh: impl FnOnce() -> T,
        work: impl FnOnce(&T) -> R,
    ) -> R {
        let mut values = self.shard(name).write().unwrap_or_else(PoisonError::into_inner);
        work(values.by_name.entry(name.into()).or_insert_with(fresh))
    }

    /// Removes the value of `name`.
    pub(crate) fn remove(&self, name: &str) -> Option<T> {
        let mut values = self.shard(name).write().unwrap_or_else(PoisonError::into_inner);
        values.by_name.remove(name)
    }

    /// Visits all values, one shard after another; a new name waits only for its own shard.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&str, &T)) {
        for Shard(shard) in &self.shards {
            let values = shard.read().unwrap_or_else(PoisonError::into_inner);
            values.by_name.iter().for_each(|(name, value)| visit(name, value));
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let length = |shard: &Shard<T>| shard.0.read().map_or(0, |values| values.by_name.len());
        self.shards.iter().map(length).sum()
    }

    fn shard(&self, name: &str) -> &RwLock<Values<T>> {
        let hash = usize::try_from(self.hasher.hash_one(name)).unwrap_or_default();
        &self.shards[hash % SHARDS].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

    #[test]
    fn of_too_many_values_those_that_were_not_used_for_longest_go() {
        let (named, now) = (ShardedMap::<AtomicUsize>::default(), AtomicUsize::new(0));
        let last_used = |value: &AtomicUsize| value.load(Relaxed) as u64;
        let use_it = |name: usize| {
            let name = name.to_string();
            let ends = (|_: &AtomicUsize| false, last_used);
            named.with_bound(&name, AtomicUsize::default, ends, |value| {
                value.store(now.fetch_add(1, Relaxed), Relaxed);
            });
        };
        let names = 200_000;
        for name in 0..names {
            use_it(name);
            // A name that is used now and then stays.
            if name % 1000 == 0 {
                use_it(0);
            }
        }
        let kept = named.len();
        assert!((SHARDS * MOST / 4..=SHARDS * MOST).contains(&kept), "{kept}");
        let has = |name: usize| named.get(&name.to_string(), |_| ()).is_some();
        assert!(has(0) && has(names - 1) && !has(1));
    }

    #[test]
    fn idle_values_are_forgotten_at_a_cost_that_does_not_grow() {
        let (named, looked) = (ShardedMap::<AtomicBool>::default(), AtomicUsize::new(0));
        let is_idle = |value: &AtomicBool| {
            looked.fetch_add(1, Relaxed);
            value.load(Relaxed)
        };
        let names = 100_000;
        for name in 0..names {
            let fresh = || AtomicBool::new(name >= 1000);
            named.with_sweep(&name.to_string(), fresh, is_idle, |_| {});
        }
        let kept = named.len();
        assert!(kept <= 2 * 1000 + SHARDS * FEW, "{kept}");
        assert!((0..1000).all(|name| named.get(&name.to_string(), |_| ()).is_some()));
        assert!(looked.into_inner() <= 3 * names);
    }
}
