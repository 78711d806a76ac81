//! The current chain, and restarts of callbacks that panicked.
//!
//! A panic may leave an instance half changed, so a new instance replaces it, in a new chain for
//! later calls. Calls in flight keep the chain they began with, and the old instance is dropped
//! after the last of them. Constructors and destructors may block, so both run on their own
//! threads, never on one that serves calls.
//! threads of their own, never on one that serves calls.

use super::{
    Chain, hook_timer,
    link::{Link, LinkState},
    report::{self, CallbackReport},
};
use arc_swap::ArcSwap;
use callgate_config::Problem;
use callgate_plugin_host::{Instance, LeftOut, Plugin};
use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The least time between two restarts of a callback.
const SPACING: Duration = Duration::from_secs(1);

/// The callbacks of the running gateway.
#[derive(Debug)]
pub struct Callbacks(Arc<CurrentChain>);

#[derive(Debug)]
pub(super) struct CurrentChain {
    chain: ArcSwap<Chain>,
    /// The entries of the config's list that are not in the chain.
    left_out: Vec<LeftOut>,
    /// The gateway is shutting down.
    ended: AtomicBool,
}

impl Callbacks {
    pub fn new(plugins: Vec<Plugin>, left_out: Vec<LeftOut>) -> Self {
        if !plugins.is_empty() {
            hook_timer::calibrate();
        }
        Self(Arc::new_cyclic(|current| {
            let link = |(place, plugin): (usize, Plugin)| {
                let (instance, recipe) = plugin.into_parts();
                Link::new(place, instance, recipe, Restarts::of(current))
            };
            let links = plugins.into_iter().enumerate().map(link).collect();
            CurrentChain {
                chain: ArcSwap::from_pointee(Chain::new(links)),
                left_out,
                ended: AtomicBool::new(false),
            }
        }))
    }

    /// The chain for a new call, which keeps it to its end.
    pub fn chain(&self) -> Arc<Chain> {
        self.0.chain.load_full()
    }

    /// Reports on every entry of the config's list, in its order.
    pub fn report(&self) -> Vec<CallbackReport> {
        report::report(&self.0.chain.load().links, &self.0.left_out)
    }

    /// Announces the shutdown to every callback, all at once. Blocks until the slowest is done.
    pub fn shutdown(&self) {
        self.0.ended.store(true, Ordering::SeqCst);
        let tell = |link: &Link| {
            let living = Arc::clone(&link.living);
            let told = thread::Builder::new().name("callback-shutdown".to_owned());
            told.spawn(move || living.shutdown()).map_err(|_| link.living.shutdown())
        };
        let told: Vec<_> = self.0.chain.load().links.iter().map(tell).collect();
        told.into_iter().flatten().for_each(|thread| drop(thread.join()));
    }
}

/// An instance in a chain, if there is one.
#[derive(Debug)]
pub(super) struct LiveInstance {
    instance: Option<Instance>,
    /// It panicked.
    spoiled: AtomicBool,
    /// Another instance has replaced it, so it is dropped while the gateway serves.
    replaced: AtomicBool,
}

impl LiveInstance {
    pub(super) fn new(instance: Option<Instance>) -> Self {
        Self { instance, spoiled: AtomicBool::new(false), replaced: AtomicBool::new(false) }
    }

    /// `None` if it could not be restarted.
    pub(super) fn instance(&self) -> Option<&Instance> {
        self.instance.as_ref()
    }

    fn shutdown(&self) {
        if let Some(instance) = &self.instance {
            instance.shutdown();
        }
    }
}

/// Drops a replaced instance on another thread: its last call ends on a thread that serves others.
impl Drop for LiveInstance {
    fn drop(&mut self) {
        let instance = self.instance.take();
        if instance.is_some() && *self.replaced.get_mut() {
            // Without a thread it is dropped here, which is better than never.
            let _ = in_background(move || drop(instance));
        }
    }
}

/// The restarts of one callback.
#[derive(Debug)]
pub(super) struct Restarts {
    current: Weak<CurrentChain>,
    /// A thread is restarting it.
    running: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Restarts {
    fn of(current: &Weak<CurrentChain>) -> Self {
        Self {
            current: Weak::clone(current),
            running: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// Has `spoiled` replaced, unless that is in progress or done. Never blocks.
    pub(super) fn ask(&self, slot: &Arc<LinkState>, spoiled: &LiveInstance) {
        spoiled.spoiled.store(true, Ordering::SeqCst);
        if spoiled.replaced.load(Ordering::SeqCst) || self.running.swap(true, Ordering::SeqCst) {
            return;
        }
        let slot = Arc::clone(slot);
        if let Err(error) = in_background(move || slot.restarts.run(&slot)) {
            self.running.store(false, Ordering::SeqCst);
            tracing::warn!(
                target: "callgate::callbacks::chain::renewal",
                %error, "no thread to make a callback anew"
            );
        }
    }

    /// Replaces the instance as long as the newest one is spoiled.
    fn run(&self, slot: &Arc<LinkState>) {
        loop {
            self.wait_for_turn();
            let Some(current) = self.current.upgrade() else { return };
            if current.is_spoiled(slot) {
                current.restart(slot);
            }
            self.running.store(false, Ordering::SeqCst);
            // After a panic between the restart and the line above, another caller may have found
            // `running` set.
            if !current.is_spoiled(slot) || self.running.swap(true, Ordering::SeqCst) {
                return;
            }
        }
    }

    fn wait_for_turn(&self) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            thread::sleep(SPACING.saturating_sub(last.elapsed()));
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl CurrentChain {
    fn is_spoiled(&self, slot: &LinkState) -> bool {
        let chain = self.chain.load();
        let link = chain.links.get(slot.place);
        link.is_some_and(|link| link.living.spoiled.load(Ordering::SeqCst))
    }

    fn restart(&self, slot: &LinkState) {
        let (instance, problem) = match slot.recipe.make() {
            Ok(instance) => (Some(instance), None),
            Err(problem) => (None, Some(problem)),
        };
        let living = Arc::new(LiveInstance::new(instance));
        let before = self.chain.rcu(|chain| chain.with(slot.place, &living));
        if let Some(link) = before.links.get(slot.place) {
            link.living.replaced.store(true, Ordering::SeqCst);
        }
        // Logged only now, when the next call gets the new instance.
        log_restart(&slot.recipe.name, problem.as_ref());
        if self.ended.load(Ordering::SeqCst) {
            living.shutdown();
        }
    }
}

fn log_restart(name: &str, problem: Option<&Problem>) {
    match problem {
        None => tracing::info!(
            target: "callgate::callback", renewed = true, callback.name = name,
            "callback `{name}` was made anew after a panic"
        ),
        Some(problem) => tracing::error!(
            target: "callgate::callback", renewed = false, callback.name = name,
            "callback `{name}` cannot be made anew after a panic: {problem}"
        ),
    }
}

fn in_background(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("callback-renewal".to_owned()).spawn(work).map(drop)
}
