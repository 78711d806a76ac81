//! Idle connections, one pool a thread: taking and giving back is a push and a pop.

use super::{Origin, Pieces};
use hyper::client::conn::http1::SendRequest;
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
    origins: HashMap<Box<str>, Arc<Origin>>,
    idle: HashMap<Host, Vec<Idle>>,
}

type Host = (bool, String, u16);

struct Idle {
    sender: SendRequest<Pieces>,
    since: Instant,
}

/// A connection in use by one call. Dropped without being given back, it closes: its answer was
/// not read to the end.
#[derive(Debug)]
pub(super) struct Lease {
    host: Arc<Host>,
    sender: SendRequest<Pieces>,
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

/// An idle connection that is open, the most recently used first. One whose last answer has only
/// just been read may not be ready yet: it stays for the next call.
pub(super) fn take(origin: &Origin) -> Option<Lease> {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.idle.get_mut(origin.key().as_ref())?;
        if idle.first().is_some_and(|oldest| oldest.since.elapsed() > IDLE_TIME) {
            idle.retain(|it| it.since.elapsed() <= IDLE_TIME && !it.sender.is_closed());
        }
        while idle.last().is_some_and(|it| it.sender.is_closed()) {
            idle.pop();
        }
        let ready = idle.iter().rposition(|it| it.sender.is_ready())?;
        let sender = idle.remove(ready).sender;
        Some(Lease { host: Arc::clone(origin.key()), sender })
    })
}

impl Lease {
    pub(super) fn new(origin: &Origin, sender: SendRequest<Pieces>) -> Self {
        Self { host: Arc::clone(origin.key()), sender }
    }

    pub(super) fn sender(&mut self) -> &mut SendRequest<Pieces> {
        &mut self.sender
    }

    /// Back to the pool of this thread.
    pub(super) fn give_back(self) {
        let Self { host, sender } = self;
        if sender.is_closed() {
            return;
        }
        // A thread that ends has no pool any more; the connection just closes.
        let _ = POOL.try_with(|pool| {
            let Ok(mut pool) = pool.try_borrow_mut() else { return };
            let idle = match pool.idle.get_mut(&*host) {
                Some(idle) => idle,
                None => pool.idle.entry((*host).clone()).or_default(),
            };
            if idle.len() < MAX_IDLE {
                idle.push(Idle { sender, since: Instant::now() });
            }
        });
    }
}
