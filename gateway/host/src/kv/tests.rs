//! Expiry, bounds and eviction, also with several threads.

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

#[test]
fn the_least_recently_used_make_room_and_others_stay() {
    let (clock, store) = store();
    let big = vec![7; MAX_VALUE];
    store.set("kept", &big, None).unwrap();
    for index in 0..14 {
        clock.set(index);
        store.set_evicting(&format!("e{index:02}"), &big, None).unwrap();
    }
    clock.set(20);
    assert!(store.get("e00").is_some());
    store.set_evicting("e14", &big, None).unwrap();
    let page = Page { prefix: "", after: "", most: 99 };
    let keys: Vec<_> = store.list(page).into_iter().map(|(key, _)| key).collect();
    let [first, .., last] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!((first.as_str(), last.as_str(), keys.len()), ("e00", "kept", 15));
    assert!(!keys.contains(&"e01".to_owned()) && keys.contains(&"e02".to_owned()));
    assert_eq!(store.list(Page { prefix: "e", after: "e13", most: 9 }), [("e14".into(), 1 << 20)]);
    // Without values that may go, it is full.
    for key in keys {
        store.set(&key, &big, None).unwrap();
    }
    assert_eq!(kind(store.set_evicting("e15", &big, None)), HostErrorKind::FULL);
}

#[test]
fn many_small_values_evict_at_a_cost_that_does_not_grow() {
    let (clock, store) = store();
    for index in 0..2 * MAX_KEYS as u64 {
        clock.set(index);
        store.set_evicting(&index.to_string(), b"", None).unwrap();
        assert!(index % 100 > 0 || index < 100 || store.get(&(index - 99).to_string()).is_some());
    }
    let kept = store.keys.load(Relaxed);
    assert!((MAX_KEYS - MAX_KEYS / 16..=MAX_KEYS).contains(&kept), "{kept}");
}

#[test]
fn threads_that_evict_at_once_count_exactly() {
    let (_, store) = store();
    let value = vec![0; 256 * 1024];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, value) = (&store, &value);
            scope.spawn(move || {
                for index in 0..100 {
                    store.set_evicting(&format!("{thread}-{index}"), value, None).unwrap();
                }
            });
        }
    });
    let all = store.list(Page { prefix: "", after: "", most: 1000 });
    let counted: usize = all.iter().map(|(key, length)| key.len() + *length as usize).sum();
    assert_eq!((store.bytes.load(Relaxed), store.keys.load(Relaxed)), (counted, all.len()));
    assert!(counted <= MAX_BYTES);
}
