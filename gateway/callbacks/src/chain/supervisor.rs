//! The current chain, and restarts of callbacks that panicked.
//!
//! A panic may leave an instance half changed, so a new instance replaces it, in a new chain for
//! later calls. Calls in flight keep the chain they began with, and the old instance is dropped
//! after the last of them. Constructors and destructors may block, so both run on threads of their
//! own, never on one that serves calls.

use super::{
    Chain,
    ending::{Endings, in_background},
    hook_timer,
    link::{Link, LinkState, Restarter},
    live_instance::LiveInstance,
    report::{self, CallbackReport},
    stats::HookStats,
};
use crate::record::Recorder;
use arc_swap::ArcSwap;
use callgate_config::Problem;
use callgate_plugin_host::{Instance, LeftOut, ListedPlugin, Plugin, Recipe};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The least time between two restarts of a callback.
const SPACING: Duration = Duration::from_secs(1);

/// How long the end of the process waits for replaced instances that are still ending.
const REPLACED_END: Duration = Duration::from_secs(2);

/// How long the end of the process waits for records that are being written.
const RECORDS_END: Duration = Duration::from_secs(2);

/// The callbacks of one config, as they are now.
#[derive(Debug)]
pub struct Callbacks(Arc<CurrentChain>);

#[derive(Debug)]
pub(super) struct CurrentChain {
    chain: ArcSwap<Chain>,
    /// The entries of the config's list that are not in the chain.
    left_out: Vec<LeftOut>,
    supervisor: Arc<Supervisor>,
}

/// Knows the current chain, into which a new instance goes. One for the process: a reload passes it
/// on to the next config's callbacks.
#[derive(Debug, Default)]
struct Supervisor {
    /// Locked while a link of the chain is replaced, and while one chain replaces another, so that
    /// no instance gets lost in between.
    current: Mutex<Weak<CurrentChain>>,
    /// The gateway is shutting down.
    ended: AtomicBool,
    endings: Arc<Endings>,
}

/// The config keeps a running instance that the chain does not have.
#[derive(Debug, thiserror::Error)]
#[error("expected a running instance of the callback `{0}`, found none; reload again")]
pub struct NotRunning(String);

impl Callbacks {
    /// The first chain of the process.
    pub fn new(plugins: Vec<Plugin>, left_out: Vec<LeftOut>) -> Self {
        let supervisor = Arc::default();
        let link = |plugin| new_link(&supervisor, plugin, &[]);
        let links = plugins.into_iter().map(link).collect();
        let mut current = supervisor.lock();
        Self::current(&supervisor, &mut current, links, left_out)
    }

    /// The chain of the next config. It keeps running instances with their state, and the
    /// statistics of every entry that keeps its name. Other instances end after their last call.
    ///
    /// # Errors
    /// If the chain has no instance for an entry that keeps one. Then nothing has changed.
    pub fn succeed(
        &self,
        plugins: Vec<ListedPlugin>,
        left_out: Vec<LeftOut>,
    ) -> Result<Self, NotRunning> {
        let supervisor = &self.0.supervisor;
        let mut current = supervisor.lock();
        let before = self.0.chain.load_full();
        let link = |plugin| match plugin {
            ListedPlugin::New(plugin) => Ok(new_link(supervisor, *plugin, &before.links)),
            ListedPlugin::Running { recipe, position } => before
                .links
                .iter()
                .find(|link| Arc::ptr_eq(&link.slot.recipe, &recipe))
                .map(|link| link.at(position))
                .ok_or_else(|| NotRunning(recipe.name.to_string())),
        };
        let links = plugins.into_iter().map(link).collect::<Result<Vec<_>, _>>()?;
        let is_kept = |it: &Link| links.iter().any(|link| Arc::ptr_eq(&link.living, &it.living));
        before.links.iter().filter(|it| !is_kept(it)).for_each(|link| link.living.retire());
        Ok(Self::current(supervisor, &mut current, links, left_out))
    }

    /// Has the calls of its one callback recorded by `recorder`, or not at all.
    pub(crate) fn recorded_by(&self, recorder: Option<&Arc<Recorder>>) {
        self.0.chain.rcu(|chain| {
            let links = chain.links.iter().map(|link| link.recorded_by(recorder.cloned()));
            Chain { links: links.collect(), ..**chain }
        });
    }

    /// The recipe of the first callback.
    pub(crate) fn first(&self) -> Option<Arc<Recipe>> {
        Some(Arc::clone(&self.0.chain.load().links.first()?.slot.recipe))
    }

    fn current(
        supervisor: &Arc<Supervisor>,
        current: &mut Weak<CurrentChain>,
        links: Vec<Link>,
        left_out: Vec<LeftOut>,
    ) -> Self {
        if !links.is_empty() {
            hook_timer::calibrate();
        }
        let chain = ArcSwap::from_pointee(Chain::new(links));
        let next = Arc::new(CurrentChain { chain, left_out, supervisor: Arc::clone(supervisor) });
        *current = Arc::downgrade(&next);
        Self(next)
    }

    /// The chain for a new call, which keeps it to its end.
    pub fn chain(&self) -> Arc<Chain> {
        self.0.chain.load_full()
    }

    /// The callbacks with a live instance, which the next config may keep.
    pub fn running(&self) -> Vec<Arc<Recipe>> {
        let chain = self.0.chain.load();
        let live = chain.links.iter().filter(|link| link.living.instance().is_some());
        live.map(|link| Arc::clone(&link.slot.recipe)).collect()
    }

    /// Reports on every entry of the config's list, in its order.
    pub fn report(&self) -> Vec<CallbackReport> {
        report::report(&self.0.chain.load().links, &self.0.left_out)
    }

    /// Announces the shutdown to every callback, all at once. Blocks until the slowest is done.
    pub fn shutdown(&self) {
        self.0.supervisor.ended.store(true, Ordering::SeqCst);
        let tell = |link: &Link| {
            let living = Arc::clone(&link.living);
            let told = thread::Builder::new().name("callback-shutdown".to_owned());
            told.spawn(move || living.shutdown()).map_err(|_| link.living.shutdown())
        };
        let told: Vec<_> = self.0.chain.load().links.iter().map(tell).collect();
        told.into_iter().flatten().for_each(|thread| drop(thread.join()));
        self.0.chain.load().links.iter().filter_map(Link::recorder).for_each(|recorder| {
            recorder.flush(RECORDS_END);
        });
        self.0.supervisor.endings.wait(REPLACED_END);
    }
}

/// A link for an instance created for this config. It continues the statistics of the entry with
/// the same name in the chain `before`.
fn new_link(supervisor: &Arc<Supervisor>, plugin: Plugin, before: &[Link]) -> Link {
    let (instance, recipe) = plugin.into_parts();
    let namesake = before.iter().find(|link| recipe.succeeds(&link.slot.recipe));
    let stats = namesake.map(|link| Arc::clone(&link.slot.stats));
    let stats = stats.unwrap_or_else(|| Arc::new(HookStats::new()));
    let living = supervisor.living(Some(instance));
    let link = Link::new(living, recipe, stats, Arc::new(Restarts::of(supervisor)));
    // The bounds of a folder hold across a reload.
    let same = |it: &&Link| it.slot.recipe.entry.record == link.slot.recipe.entry.record;
    match namesake.filter(same).and_then(Link::recorder) {
        Some(recorder) => link.recorded_by(Some(Arc::clone(recorder))),
        None => link,
    }
}

/// The restarts of one callback after panics.
#[derive(Debug)]
struct Restarts {
    supervisor: Arc<Supervisor>,
    /// A thread is restarting it.
    running: AtomicBool,
    last: Mutex<Option<Instant>>,
}

impl Restarts {
    fn of(supervisor: &Arc<Supervisor>) -> Self {
        Self {
            supervisor: Arc::clone(supervisor),
            running: AtomicBool::new(false),
            last: Mutex::new(None),
        }
    }

    /// Replaces the instance as long as the newest one is spoiled.
    fn run(&self, slot: &Arc<LinkState>) {
        loop {
            self.wait_for_turn();
            if self.supervisor.is_spoiled(slot) {
                self.supervisor.restart(slot);
            }
            self.running.store(false, Ordering::SeqCst);
            // After a panic between the restart and the line above, another caller may have found
            // `running` set.
            if !self.supervisor.is_spoiled(slot) || self.running.swap(true, Ordering::SeqCst) {
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

impl Restarter for Restarts {
    fn ask(self: Arc<Self>, slot: &Arc<LinkState>, spoiled: &LiveInstance) {
        spoiled.spoiled.store(true, Ordering::SeqCst);
        if spoiled.replaced.load(Ordering::SeqCst) || self.running.swap(true, Ordering::SeqCst) {
            return;
        }
        let (restarts, slot) = (Arc::clone(&self), Arc::clone(slot));
        if let Err(error) = in_background("callback-renewal", move || restarts.run(&slot)) {
            self.running.store(false, Ordering::SeqCst);
            tracing::warn!(
                target: "callgate::callbacks::chain::renewal",
                %error, "no thread could be started to restart a callback"
            );
        }
    }
}

impl Supervisor {
    fn lock(&self) -> MutexGuard<'_, Weak<CurrentChain>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn living(&self, instance: Option<Instance>) -> Arc<LiveInstance> {
        Arc::new(LiveInstance::new(instance, &self.endings))
    }

    fn is_spoiled(&self, slot: &Arc<LinkState>) -> bool {
        let Some(current) = self.lock().upgrade() else { return false };
        let chain = current.chain.load();
        chain.link(slot).is_some_and(|link| link.living.spoiled.load(Ordering::SeqCst))
    }

    fn restart(&self, slot: &Arc<LinkState>) {
        let (instance, problem) = match slot.recipe.make() {
            Ok(instance) => (Some(instance), None),
            Err(problem) => (None, Some(problem)),
        };
        let living = self.living(instance);
        if !self.put(slot, &living) {
            // A reload has taken the callback off the list meanwhile.
            living.retire();
            return;
        }
        // Logged only now, when the next call gets the new instance.
        log_restart(&slot.recipe.name, problem.as_ref());
        if self.ended.load(Ordering::SeqCst) {
            living.shutdown();
        }
    }

    /// Puts an instance into the current chain, in place of the one of the same callback; `false`
    /// if the chain has none.
    fn put(&self, slot: &Arc<LinkState>, living: &Arc<LiveInstance>) -> bool {
        let current = self.lock();
        let Some(current) = current.upgrade() else { return false };
        let before = current.chain.rcu(|chain| chain.with(slot, living));
        let replaced = before.link(slot);
        replaced.inspect(|link| link.living.retire()).is_some()
    }
}

fn log_restart(name: &str, problem: Option<&Problem>) {
    match problem {
        None => tracing::info!(
            target: "callgate::callback", renewed = true, callback.name = name,
            "callback `{name}` was restarted after a panic"
        ),
        Some(problem) => tracing::error!(
            target: "callgate::callback", renewed = false, callback.name = name,
            "callback `{name}` cannot be restarted after a panic: {problem}"
        ),
    }
}
