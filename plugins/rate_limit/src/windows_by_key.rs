//! The windows of `each`: one for every provider, model or key that was used within the limit's
//! span.
//!
//! Names may come from clients, so the table is bounded, and subjects with empty windows make room.
//! Some room is reserved for names of the config, which made-up names under a wildcard cannot take.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// The index of a window in its limit: the limit's own, or that of a subject.
pub(crate) type WindowIndex = u16;

const SHARDS: usize = 16;

/// The maximum number of subjects in a shard.
const MOST: usize = 1024;

/// The number of subjects in a shard up to which names under a wildcard are added.
const MOST_MADE_UP: usize = MOST / 16 * 15;

/// How many subjects to check for idleness for each new one.
const LOOKS: usize = 4;

/// The name of a subject: a provider, model or key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyName<'a> {
    pub(crate) name: &'a str,
    /// The wildcard under which clients may make up such names, if any.
    pub(crate) made_up: Option<&'a str>,
}

impl<'a> KeyName<'a> {
    /// Creates a name that the config knows.
    pub(crate) fn certain(name: &'a str) -> Self {
        Self { name, made_up: None }
    }
}

/// The windows of a limit with `each`.
pub(crate) struct WindowsByKey {
    shards: [RwLock<Shard>; SHARDS],
    hasher: RandomState,
    /// The prefix of the windows' names.
    prefix: String,
    /// The limit's span in nanoseconds. A window that was not used for that long is empty.
    span: u64,
}

#[derive(Default)]
struct Shard {
    by_subject: HashMap<Arc<str>, usize>,
    slots: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// The slot that is checked next.
    hand: usize,
}

struct Entry {
    subject: Arc<str>,
    window: Box<str>,
    /// When it was last used, in nanoseconds.
    used: AtomicU64,
}

impl fmt::Debug for WindowsByKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Subjects").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl WindowsByKey {
    pub(crate) fn new(prefix: &str, span: Duration) -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            hasher: RandomState::new(),
            prefix: prefix.to_owned(),
            span: nanoseconds(span),
        }
    }

    /// Uses the window of a subject. If names under a wildcard have filled their room, further ones
    /// share the wildcard's window. Returns `None` if there is no room for that either.
    pub(crate) fn of<R>(
        &self,
        subject: &KeyName<'_>,
        now: Duration,
        work: impl Fn(WindowIndex, &str) -> R,
    ) -> Option<R> {
        let now = nanoseconds(now);
        let most = if subject.made_up.is_some() { MOST_MADE_UP } else { MOST };
        self.own(subject.name, most, now, &work)
            .or_else(|| self.own(subject.made_up?, MOST, now, &work))
    }

    fn own<R>(
        &self,
        subject: &str,
        most: usize,
        now: u64,
        work: &impl Fn(WindowIndex, &str) -> R,
    ) -> Option<R> {
        let shard = usize::try_from(self.hasher.hash_one(subject)).unwrap_or_default() % SHARDS;
        let use_at = |slots: &[Option<Entry>], slot: usize| {
            let entry = slots.get(slot)?.as_ref()?;
            entry.used.fetch_max(now, Relaxed);
            Some(work(WindowIndex::try_from(shard * MOST + slot).ok()?, &entry.window))
        };
        let lock = self.shards.get(shard)?;
        {
            let known = lock.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(slot) = known.by_subject.get(subject) {
                return use_at(&known.slots, *slot);
            }
        }
        let mut shard = lock.write().unwrap_or_else(PoisonError::into_inner);
        let slot = match shard.by_subject.get(subject) {
            Some(slot) => *slot,
            None => {
                shard.drop_idle(now, self.span);
                let window = || format!("{} = {subject}", self.prefix).into();
                shard.add(subject, window, most)?
            }
        };
        use_at(&shard.slots, slot)
    }

    /// Uses the window at an index. It may belong to another subject by now; its tickets differ.
    pub(crate) fn at<R>(&self, index: WindowIndex, work: impl FnOnce(&str) -> R) -> Option<R> {
        let (shard, slot) = (usize::from(index) / MOST, usize::from(index) % MOST);
        let shard = self.shards.get(shard)?.read().unwrap_or_else(PoisonError::into_inner);
        Some(work(&shard.slots.get(slot)?.as_ref()?.window))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().unwrap().by_subject.len()).sum()
    }
}

impl Shard {
    /// Checks a few subjects and drops those with empty windows. It checks more than one for each
    /// new subject, so the table shrinks to those in use.
    fn drop_idle(&mut self, now: u64, span: u64) {
        for _ in 0..LOOKS.min(self.slots.len()) {
            self.hand = (self.hand + 1) % self.slots.len();
            let Some(slot) = self.slots.get_mut(self.hand) else { return };
            let idle = |entry: &mut Entry| now.saturating_sub(entry.used.load(Relaxed)) >= span;
            if let Some(entry) = slot.take_if(idle) {
                self.by_subject.remove(&entry.subject);
                self.free.push(self.hand);
            }
        }
    }

    fn add(
        &mut self,
        subject: &str,
        window: impl FnOnce() -> Box<str>,
        most: usize,
    ) -> Option<usize> {
        if self.by_subject.len() >= most {
            return None;
        }
        let subject: Arc<str> = subject.into();
        let entry =
            Entry { subject: Arc::clone(&subject), window: window(), used: AtomicU64::new(0) };
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(None);
                self.slots.len() - 1
            }
        };
        *self.slots.get_mut(slot)? = Some(entry);
        self.by_subject.insert(subject, slot);
        Some(slot)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, thread};

    const SPAN: Duration = Duration::from_secs(60);

    fn index(subjects: &WindowsByKey, name: &str, now: Duration) -> Option<WindowIndex> {
        subjects.of(&KeyName::certain(name), now, |index, _| index)
    }

    #[test]
    fn a_subject_keeps_its_window() {
        let subjects = WindowsByKey::new("key *", SPAN);
        let names: Vec<String> = (0..1000).map(|n| format!("key-{n}")).collect();
        let all = || names.iter().map(|name| index(&subjects, name, SPAN)).collect::<Vec<_>>();
        let before = all();
        assert_eq!(before.iter().collect::<HashSet<_>>().len(), names.len());
        assert_eq!(all(), before);
        let window = subjects.at(before[7].unwrap(), str::to_owned);
        assert_eq!(window.as_deref(), Some("key * = key-7"));
        assert_eq!(subjects.at(WindowIndex::MAX, |_| ()), None);
    }

    #[test]
    fn made_up_names_leave_room_and_share_the_window_of_their_wildcard() {
        let subjects = WindowsByKey::new("model *", SPAN);
        let made_up = |n: usize| {
            let name = format!("any-{n}");
            let named = KeyName { name: &name, made_up: Some("any-*") };
            subjects.of(&named, SPAN, |_, window| window.to_owned()).unwrap()
        };
        for n in 0..2 * SHARDS * MOST {
            made_up(n);
        }
        assert_eq!(made_up(2 * SHARDS * MOST), "model * = any-*");
        assert_eq!(made_up(0), "model * = any-0");
        assert!((0..100).all(|n| index(&subjects, &format!("configured-{n}"), SPAN).is_some()));
        assert!(subjects.len() <= SHARDS * MOST);
    }

    #[test]
    fn subjects_whose_windows_have_emptied_are_dropped_step_by_step() {
        let subjects = WindowsByKey::new("model *", SPAN);
        let name = |n: usize| format!("any-{n}");
        for n in 0..SHARDS * MOST {
            index(&subjects, &name(n), Duration::ZERO);
        }
        let full = subjects.len();
        assert!(full > SHARDS * MOST / 2);
        index(&subjects, &name(0), SPAN / 2);
        for n in 0..full / 2 {
            assert!(index(&subjects, &format!("later-{n}"), SPAN).is_some());
        }
        assert!(subjects.len() <= full / 2 + 1, "{full} {}", subjects.len());
        let before = subjects.len();
        assert!(index(&subjects, &name(0), SPAN).is_some());
        assert_eq!(subjects.len(), before, "one that counts is kept");
    }

    #[test]
    fn threads_agree_on_the_window_of_a_subject() {
        let subjects = WindowsByKey::new("", SPAN);
        let seen = || (0..200).map(|n| index(&subjects, &n.to_string(), SPAN)).collect::<Vec<_>>();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(seen)).collect();
            for thread in threads {
                assert_eq!(thread.join().unwrap(), seen());
            }
        });
    }
}
