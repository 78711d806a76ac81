//! All workers: distributes connections to them in turn, notices stuck ones, and makes room when
//! there are too many connections.
//!
//! A worker is one thread, and hooks run on it. A hook that does not return holds up every call of
//! that thread, and nothing can end it. So the pool names it in the log, gives new and waiting
//! connections to the other workers, and closes its idle ones.

use super::{
    answer_alone,
    connection::moment,
    worker::{AcceptedConnection, Worker},
};
use crate::occupancy::Occupancy;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often workers are asked to respond.
const LOOK: Duration = Duration::from_millis(500);

/// A worker that takes longer to respond is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// One idle connection in so many is closed when there are too many. Closing several at once saves
/// work: each search looks at all of them.
const SHARE: usize = 16;

/// A connection without a call for less than this is not idle, because its request may be on its
/// way.
const IDLE_MILLIS: u64 = 500;

/// The workers of a server.
#[derive(Debug)]
pub(super) struct WorkerPool {
    workers: Vec<Arc<Worker>>,
    turn: AtomicUsize,
    pub(super) occupancy: Arc<Occupancy>,
}

impl WorkerPool {
    pub(super) fn new(workers: Vec<Arc<Worker>>, occupancy: &Arc<Occupancy>) -> Self {
        occupancy.note_workers(workers.len(), 0);
        Self { workers, turn: AtomicUsize::new(0), occupancy: Arc::clone(occupancy) }
    }

    /// Gives a connection to the next worker that is not stuck. If there is none, the connection is
    /// answered here.
    pub(super) fn deal(&self, accepted: AcceptedConnection) {
        let turn = self.turn.fetch_add(1, Relaxed);
        let in_turn = self.workers.iter().cycle().skip(turn % self.workers.len().max(1));
        match in_turn.take(self.workers.len()).find(|worker| !worker.is_stuck()) {
            Some(worker) => worker.take(accepted),
            None => answer_alone::refuse(accepted),
        }
    }

    /// Closes the connections that have been without a call for longest; returns their number.
    pub(super) fn close_idle(&self) -> usize {
        let mut idle = Vec::new();
        let by = moment(Instant::now()).saturating_sub(IDLE_MILLIS);
        // A stuck worker cannot close anything.
        self.workers.iter().filter(|it| !it.is_stuck()).for_each(|it| it.idle(by, &mut idle));
        if idle.is_empty() {
            return 0;
        }
        let count = idle.len().div_ceil(SHARE);
        idle.select_nth_unstable_by_key(count - 1, |(since, _)| *since);
        idle.iter().take(count).for_each(|(_, connection)| connection.evict());
        count
    }

    /// Checks all workers at intervals, until the future is dropped.
    pub(super) async fn watch(&self) {
        let mut since = vec![None; self.workers.len()];
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let now = Instant::now();
            for (worker, since) in self.workers.iter().zip(&mut since) {
                self.look(worker, since, now);
            }
        }
    }

    /// Checks one worker. `since` is when it was asked.
    fn look(&self, worker: &Worker, since: &mut Option<Instant>, now: Instant) {
        if worker.has_answered() {
            if let Some(since) = since.take()
                && worker.is_stuck()
            {
                self.came_back(worker, now - since);
            }
            *since = Some(now);
            worker.ask();
            return;
        }
        let asked = *since.get_or_insert(now);
        if now - asked >= PATIENCE && !worker.is_stuck() {
            self.is_stuck(worker);
        }
    }

    fn is_stuck(&self, worker: &Worker) {
        worker.set_stuck(true);
        let stuck = self.count();
        let place = worker.whereabouts.ask();
        let at =
            place.as_ref().map_or_else(|| "outside of every hook".to_owned(), ToString::to_string);
        tracing::error!(
            target: "callgate::server::pool", { worker = worker.index, workers.stuck = stuck, callback = place.as_ref().map(|place| &*place.callback), hook = place.as_ref().map(|place| &*place.step), call.id = place.as_ref().map(|place| &*place.call) },
        "worker {} has been stuck for {} s: it is {at}; its calls wait, new connections go to \
             other workers",
            worker.index,
            PATIENCE.as_secs(),
        );
        worker.untaken().into_iter().for_each(|accepted| self.deal(accepted));
        worker.hang_up_idle();
    }

    fn came_back(&self, worker: &Worker, took: Duration) {
        worker.set_stuck(false);
        let stuck = self.count();
        tracing::warn!(
            target: "callgate::server::pool", { worker = worker.index, workers.stuck = stuck },
        "worker {} came back after {:.1} s",
            worker.index,
            took.as_secs_f64(),
        );
    }

    fn count(&self) -> usize {
        let stuck = self.workers.iter().filter(|worker| worker.is_stuck()).count();
        self.occupancy.note_workers(self.workers.len(), stuck);
        stuck
    }
}
