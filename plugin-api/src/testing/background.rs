//! The mock host's tasks, sleeps and requests. Time is virtual, and nothing runs until the test
//! runs it.

use crate::{
    HostError, HostErrorKind, HttpRequest, HttpResponse,
    abi::serve::{BoxFuture, Job},
};
use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

const MAX_TASKS: usize = 1024;
const MAX_JOBS: usize = 64;

pub(super) type HttpScript = Box<dyn FnMut(&HttpRequest) -> Result<HttpResponse, HostError> + Send>;

#[derive(Default)]
pub(super) struct MockBackground {
    time: Arc<Mutex<Time>>,
    work: Mutex<Work>,
    http: Mutex<Exchanges>,
}

#[derive(Default)]
struct Time {
    now: u64,
    /// Sleeps end at once.
    hurried: bool,
    sleepers: Vec<(u64, Waker)>,
}

#[derive(Default)]
struct Work {
    tasks: Vec<Spawned>,
    jobs: VecDeque<Job>,
    /// The number of tasks that are being polled, outside the lock.
    polled: usize,
}

struct Spawned {
    work: BoxFuture<()>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Exchanges {
    script: Option<HttpScript>,
    hangs: bool,
    requests: Vec<HttpRequest>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MockBackground {
    pub(super) fn set_now(&self, now: u64) {
        let mut time = locked(&self.time);
        time.now = time.now.max(now);
        let now = time.now;
        let due = time.sleepers.extract_if(.., |(ends, _)| *ends <= now).collect::<Vec<_>>();
        drop(time);
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    pub(super) fn hurry(&self) {
        locked(&self.time).hurried = true;
    }

    pub(super) fn wait(&self) {
        locked(&self.time).hurried = false;
    }

    pub(super) fn sleep(&self, time: Duration) -> BoxFuture<()> {
        let ends = locked(&self.time)
            .now
            .saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        Box::pin(Sleep { ends, time: Arc::clone(&self.time) })
    }

    pub(super) fn script(&self, script: HttpScript) {
        let mut http = locked(&self.http);
        (http.script, http.hangs) = (Some(script), false);
    }

    pub(super) fn hang(&self) {
        locked(&self.http).hangs = true;
    }

    pub(super) fn requests(&self) -> Vec<HttpRequest> {
        locked(&self.http).requests.clone()
    }

    /// `None`: no answer will come.
    pub(super) fn answer(&self, request: HttpRequest) -> Option<Result<HttpResponse, HostError>> {
        let mut http = locked(&self.http);
        let Exchanges { script, hangs, requests } = &mut *http;
        if *hangs {
            requests.push(request);
            return None;
        }
        let answer = match script {
            Some(script) => script(&request),
            None => {
                let text = "expected a scripted answer, found none: call `MockHost::answer_http` in the test";
                Err(HostError::new(HostErrorKind::UNREACHABLE, text))
            }
        };
        requests.push(request);
        Some(answer)
    }

    pub(super) fn spawn(&self, work: BoxFuture<()>) -> Result<(), HostError> {
        let mut all = locked(&self.work);
        if all.tasks.len() + all.polled >= MAX_TASKS {
            return Err(HostError::new(HostErrorKind::FULL, "1024 tasks are not done yet"));
        }
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        all.tasks.push(Spawned { work, woken });
        Ok(())
    }

    pub(super) fn spawn_blocking(&self, job: Job) -> Result<(), HostError> {
        let mut all = locked(&self.work);
        if all.jobs.len() >= MAX_JOBS {
            return Err(HostError::new(HostErrorKind::FULL, "64 jobs are not done yet"));
        }
        all.jobs.push_back(job);
        Ok(())
    }

    /// No lock is held while a task runs, because it may spawn, wake and drop others.
    pub(super) fn run(&self) -> usize {
        loop {
            let job = locked(&self.work).jobs.pop_front();
            let ran_job = job.map(Job::run).is_some();
            if !self.poll_woken() && !ran_job {
                return locked(&self.work).tasks.len();
            }
        }
    }

    /// Polls each woken task once. Returns whether there was one.
    fn poll_woken(&self) -> bool {
        let mut all = locked(&self.work);
        let woken = |task: &mut Spawned| task.woken.0.swap(false, SeqCst);
        let ready: Vec<_> = all.tasks.extract_if(.., woken).collect();
        all.polled += ready.len();
        drop(all);
        let any = !ready.is_empty();
        for mut task in ready {
            let waker = Waker::from(Arc::clone(&task.woken));
            let polled = task.work.as_mut().poll(&mut Context::from_waker(&waker));
            let mut all = locked(&self.work);
            all.polled -= 1;
            if polled.is_pending() {
                all.tasks.push(task);
            } else {
                drop(all);
                drop(task);
            }
        }
        any
    }

    pub(super) fn drop_all(&self) {
        let mut all = locked(&self.work);
        let left = (std::mem::take(&mut all.tasks), std::mem::take(&mut all.jobs));
        drop(all);
        drop(left);
    }
}

struct Sleep {
    ends: u64,
    time: Arc<Mutex<Time>>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut time = locked(&self.time);
        if time.hurried || time.now >= self.ends {
            return Poll::Ready(());
        }
        time.sleepers.push((self.ends, context.waker().clone()));
        Poll::Pending
    }
}
