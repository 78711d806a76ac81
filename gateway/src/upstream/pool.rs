//! Idle connections, one pool a thread: taking and giving back is a push and a pop.

use super::{Origin, http1::Connection};
use foldhash::fast::RandomState;
use std::{
    cell::RefCell,
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Idle connections kept for one host.
const MAX_IDLE: usize = 128;

/// An idle connection older than this is closed: upstreams and the boxes before them drop idle
/// connections without a word after a minute or more.
const IDLE_TIME: Duration = Duration::from_secs(50);

/// URLs remembered; callbacks may make up any number of them.
const MAX_URLS: usize = 1024;

thread_local! {
    static POOL: RefCell<Pool> = RefCell::new(Pool::default());
}

#[derive(Default)]
struct Pool {
    origins: HashMap<Box<str>, Arc<Origin>, RandomState>,
    idle: HashMap<Host, Vec<Idle>, RandomState>,
}

type Host = (bool, String, u16);

struct Idle {
    connection: Connection,
    since: Instant,
}

/// A connection in use by one call. Dropped without being given back, it closes: its answer was
/// not read to the end.
#[derive(Debug)]
pub(super) struct Lease {
    host: Arc<Host>,
    connection: Connection,
}

/// The parts of a URL, taken apart when first seen.
pub(super) fn origin(url: &str) -> Option<Arc<Origin>> {
    POOL.with_borrow_mut(|pool| {
        if let Some(known) = pool.origins.get(url) {
            return Some(Arc::clone(known));
        }
        let origin = Arc::new(Origin::parse(url)?);
        if pool.origins.len() >= MAX_URLS {
            pool.origins.clear();
            pool.idle.clear();
        }
        pool.origins.insert(url.into(), Arc::clone(&origin));
        Some(origin)
    })
}

/// An idle connection that is open, the most recently used first.
pub(super) fn take(origin: &Origin) -> Option<Lease> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.get_mut(&**origin.key())?;
        while let Some(Idle { mut connection, since }) = idle.pop() {
            if since.elapsed() > IDLE_TIME {
                // What lies below is older still.
                idle.clear();
                return None;
            }
            if connection.is_open() {
                return Some(Lease { host: Arc::clone(origin.key()), connection });
            }
        }
        None
    })
}

impl Lease {
    pub(super) fn new(origin: &Origin, connection: Connection) -> Self {
        Self { host: Arc::clone(origin.key()), connection }
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Back to the pool of this thread.
    pub(super) fn give_back(mut self) {
        self.connection.rest();
        let Self { host, connection } = self;
        // A thread that ends has no pool any more; the connection just closes.
        let _ = POOL.try_with(|pool| {
            let Ok(mut pool) = pool.try_borrow_mut() else { return };
            let idle = match pool.idle.get_mut(&*host) {
                Some(idle) => idle,
                None => pool.idle.entry((*host).clone()).or_default(),
            };
            if idle.len() < MAX_IDLE {
                idle.push(Idle { connection, since: Instant::now() });
            }
        });
    }
}
