//! Idle connections, one pool for each thread: taking and returning one is a push and a pop.
//!
//! An idle connection closes when its time is over, when the upstream closes it, or when there are
//! too many for its host. While there are any, a task of the thread checks them once a second, so
//! that connections closed by the upstream do not stay half open while nobody calls.

use super::{Connector, Origin, http1::UpstreamConnection, origin::PoolKey};
use callgate_config::Reuse;
use foldhash::fast::RandomState;
use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long an idle plain connection is kept if neither config nor upstream says. Without TLS,
/// servers that close after 5 s are common, and a new connection is cheap.
const IDLE_PLAIN: Duration = Duration::from_secs(4);

/// The same with TLS. Upstreams and proxies before them drop idle connections silently after a
/// minute or more.
const IDLE_TLS: Duration = Duration::from_secs(50);

/// Subtracted from the time an upstream announces, because a request needs time to get there.
const MARGIN: Duration = Duration::from_secs(1);

/// How often idle connections are checked.
const SWEEP: Duration = Duration::from_secs(1);

/// The most URLs that are cached for a connector; callbacks can make up any number.
const MAX_URLS: usize = 1024;

/// The most connectors with cached URLs; reloads can make any number.
const MAX_CONNECTORS: usize = 64;

/// How often a connection failed because no descriptor was free.
static SHORTAGES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

#[derive(Default)]
struct Pool {
    /// By the connector's number. Usually there is one.
    origins: Vec<(u64, Origins)>,
    /// The longest idle first.
    idle: HashMap<PoolKey, VecDeque<Idle>, RandomState>,
    /// A sweep task is running.
    swept: bool,
}

/// By URL.
type Origins = HashMap<Box<str>, Arc<Origin>, RandomState>;

struct Idle {
    connection: UpstreamConnection,
    born: Instant,
    /// When it closes if it is not used.
    end: Instant,
}

/// A connection in use by one call. It closes if it is dropped without being returned, because its
/// response was not read to the end.
#[derive(Debug)]
pub(super) struct Lease {
    key: Arc<PoolKey>,
    connection: UpstreamConnection,
    born: Instant,
    /// It has been used for an earlier call.
    reused: bool,
}

/// The parts of a URL, split when the connector first sees it.
pub(super) fn origin(connector: &Connector, url: &str) -> Option<Arc<Origin>> {
    POOL.with_borrow_mut(|pool| {
        let origins = pool.origins_of(connector.number());
        if let Some(known) = origins.get(url) {
            return Some(Arc::clone(known));
        }
        let origin = Arc::new(Origin::by(connector, url)?);
        if origins.len() >= MAX_URLS {
            origins.clear();
        }
        origins.insert(url.into(), Arc::clone(&origin));
        Some(origin)
    })
}

/// An idle connection that is still open, the most recently used first.
pub(super) fn take(origin: &Origin) -> Option<Lease> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.get_mut(&**origin.key())?;
        let mut now = None;
        while let Some(Idle { mut connection, born, end }) = idle.pop_back() {
            let now = *now.get_or_insert_with(Instant::now);
            if now < end && connection.is_open(now) {
                let key = Arc::clone(origin.key());
                return Some(Lease { key, connection, born, reused: true });
            }
        }
        None
    })
}

/// Closes all idle connections of this thread to free descriptors; returns whether there were any.
/// Other threads close theirs at their next sweep.
pub(super) fn shed() -> bool {
    SHORTAGES.fetch_add(1, Relaxed);
    POOL.with_borrow_mut(Pool::shed)
}

impl Pool {
    fn origins_of(&mut self, connector: u64) -> &mut Origins {
        let known = self.origins.iter().position(|(number, _)| *number == connector);
        let at = known.unwrap_or_else(|| {
            if self.origins.len() >= MAX_CONNECTORS {
                self.origins.clear();
            }
            self.origins.push((connector, Origins::default()));
            self.origins.len() - 1
        });
        &mut self.origins[at].1
    }

    fn shed(&mut self) -> bool {
        let any = self.idle.values().any(|idle| !idle.is_empty());
        self.idle.clear();
        any
    }
}

impl Lease {
    pub(super) fn new(origin: &Origin, connection: UpstreamConnection) -> Self {
        let key = Arc::clone(origin.key());
        Self { key, connection, born: Instant::now(), reused: false }
    }

    pub(super) fn connection(&mut self) -> &mut UpstreamConnection {
        &mut self.connection
    }

    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Returns the connection to this thread's pool; `announced` is the time for which the upstream
    /// keeps it.
    pub(super) fn give_back(mut self, reuse: &Reuse, announced: Option<Duration>) {
        let now = Instant::now();
        let tls = self.key.tls;
        let usual = reuse.idle_timeout.unwrap_or(if tls { IDLE_TLS } else { IDLE_PLAIN });
        let idle_time = announced.map_or(usual, |time| usual.min(time.saturating_sub(MARGIN)));
        // A time beyond the clock's range never comes.
        let ends = [now.checked_add(idle_time), self.born.checked_add(reuse.max_age)];
        let Some(end) = ends.into_iter().flatten().min().filter(|end| now < *end) else { return };
        if reuse.max_idle == 0 {
            return;
        }
        self.connection.release_buffer();
        let Self { key, connection, born, .. } = self;
        // The thread is ending and has no pool, so the connection closes.
        let _ = POOL.try_with(|pool| {
            let Ok(mut pool) = pool.try_borrow_mut() else { return };
            let idle = match pool.idle.get_mut(&*key) {
                Some(idle) => idle,
                None => pool.idle.entry((*key).clone()).or_default(),
            };
            if idle.len() >= reuse.max_idle {
                idle.pop_front();
            }
            idle.push_back(Idle { connection, born, end });
            if !pool.swept {
                pool.swept = true;
                tokio::spawn(sweep());
            }
        });
    }
}

/// Closes connections that have been idle too long or that the upstream closed; ends when none is
/// idle.
async fn sweep() {
    // Reset however this task ends, also with its runtime.
    struct Sweeping;
    impl Drop for Sweeping {
        fn drop(&mut self) {
            let _ = POOL.try_with(|pool| pool.try_borrow_mut().map(|mut pool| pool.swept = false));
        }
    }
    let _sweeping = Sweeping;
    let mut shortages = SHORTAGES.load(Relaxed);
    loop {
        tokio::time::sleep(SWEEP).await;
        let before = std::mem::replace(&mut shortages, SHORTAGES.load(Relaxed));
        let empty = POOL.with_borrow_mut(|pool| {
            if before != shortages {
                pool.shed();
            }
            let now = Instant::now();
            pool.idle.retain(|_, idle| {
                idle.retain_mut(|it| now < it.end && it.connection.is_open(now));
                !idle.is_empty()
            });
            pool.idle.is_empty()
        });
        if empty {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
