//! The windows of `each`: one for every provider, model or key seen so far, up to a bound, found
//! without a lock and without an allocation.
//!
//! Names may come from clients, so the table never grows and forgets nothing: a gateway's counters
//! live as long as the gateway.

use crate::limit::WindowIndex;
use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Subjects with a window of their own.
const CAPACITY: usize = 1024;

/// Twice the capacity, so that a search soon meets a free slot. A power of two.
const SLOTS: usize = 2 * CAPACITY;

/// An open-addressed table whose slots are written once.
pub(crate) struct Subjects {
    slots: Box<[OnceLock<Entry>]>,
    /// Slots taken or about to be.
    taken: AtomicUsize,
    hasher: RandomState,
    /// What the names of the windows begin with.
    prefix: String,
}

struct Entry {
    subject: Box<str>,
    window: Box<str>,
}

impl fmt::Debug for Subjects {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Subjects").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Subjects {
    pub(crate) fn new(prefix: &str) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| OnceLock::new()).collect(),
            taken: AtomicUsize::new(0),
            hasher: RandomState::new(),
            prefix: prefix.to_owned(),
        }
    }

    /// The window of a subject; `None` when it came after the bound was reached.
    pub(crate) fn index(&self, subject: &str) -> Option<WindowIndex> {
        let start = self.hasher.hash_one(subject);
        for step in 0..SLOTS as u64 {
            let index = WindowIndex::try_from(start.wrapping_add(step) % SLOTS as u64).ok()?;
            let slot = &self.slots[usize::from(index)];
            let entry = match slot.get() {
                Some(entry) => entry,
                None if self.is_full() => return None,
                None => slot.get_or_init(|| self.entry(subject)),
            };
            if *entry.subject == *subject {
                return Some(index);
            }
        }
        None
    }

    /// The name of a window.
    pub(crate) fn window(&self, index: WindowIndex) -> Option<&str> {
        Some(&self.slots.get(usize::from(index))?.get()?.window)
    }

    /// Threads that pass this at once may exceed the bound by their number, far from all slots.
    fn is_full(&self) -> bool {
        self.taken.load(Relaxed) >= CAPACITY
    }

    fn entry(&self, subject: &str) -> Entry {
        self.taken.fetch_add(1, Relaxed);
        Entry { subject: subject.into(), window: format!("{} = {subject}", self.prefix).into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, thread};

    #[test]
    fn a_subject_keeps_its_window_and_late_ones_have_none() {
        let subjects = Subjects::new("key *");
        let names: Vec<String> = (0..CAPACITY).map(|n| format!("key-{n}")).collect();
        let indices: HashSet<_> = names.iter().map(|name| subjects.index(name)).collect();
        assert_eq!(indices.len(), CAPACITY);
        assert!(!indices.contains(&None));
        assert_eq!(subjects.index("one too many"), None);
        for name in &names {
            let index = subjects.index(name).unwrap();
            assert_eq!(subjects.window(index), Some(format!("key * = {name}").as_str()));
        }
        assert_eq!(subjects.window(WindowIndex::MAX), None);
    }

    #[test]
    fn threads_agree_on_the_window_of_a_subject() {
        let subjects = Subjects::new("");
        let seen = || (0..200).map(|n| subjects.index(&n.to_string())).collect::<Vec<_>>();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(seen)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), seen());
            }
        });
    }
}
