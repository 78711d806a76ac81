//! The task that sends runs: batches, pauses between attempts, and log lines about dropped runs.

use crate::{
    captured_call::CapturedCall,
    queue::{Queue, Queued},
    run,
    settings::Plan,
};
use plugin_api::{
    Counter, Gauge, Host, HostError, HostErrorKind, Http, HttpRequest, HttpResponse, Level, Timer,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use uuid::Uuid;

/// The pauses before the second and later attempts, if there is no `Retry-After`.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The time limit of an attempt, and the limit after the gateway began to shut down.
const TIMEOUT: Duration = Duration::from_secs(20);
const LAST_TIMEOUT: Duration = Duration::from_secs(2);

/// How often to halve a refused batch to find the run that causes the refusal.
const MAX_HALVES: usize = 24;

/// The least time between two log lines about dropped runs.
const LINE_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Exporter {
    host: Host,
    plan: Plan,
    queue: Queue,
    sent: Counter,
    dropped: Counter,
    failed: Counter,
    waiting: Gauge,
    /// The number of runs dropped since the last log line, and the time of that line in
    /// milliseconds of the monotonic clock.
    untold: AtomicU64,
    told_ms: AtomicU64,
}

/// The outcome of sending a batch.
enum SendFailure {
    Taken,
    /// LangSmith already has one of these runs, from an attempt whose answer was lost.
    Known,
    /// Another attempt may succeed.
    Later(Option<Duration>, String),
    /// A smaller batch may succeed.
    Fewer(String),
    Never(String),
}

impl Exporter {
    pub(crate) fn new(host: Host, plan: Plan) -> Result<Self, HostError> {
        let metrics = host.metrics().ok_or_else(|| missing("metrics"))?;
        Ok(Self {
            sent: metrics.counter("runs_sent_total", "Runs that LangSmith accepted.")?,
            dropped: metrics.counter("runs_dropped_total", "Runs that were not sent.")?,
            failed: metrics
                .counter("attempts_failed_total", "Requests to LangSmith that failed.")?,
            waiting: metrics.gauge("runs_waiting", "Runs that wait to be sent.")?,
            host,
            plan,
            queue: Queue::default(),
            untold: AtomicU64::new(0),
            told_ms: AtomicU64::new(0),
        })
    }

    pub(crate) fn can_send(&self) -> bool {
        self.plan.api_key.is_some()
    }

    /// Counts a call that is not traced because there is no key. A warning at startup says so.
    pub(crate) fn count_untraced(&self) {
        self.dropped.add(1.0);
    }

    /// Queues a captured call, and starts the task if there is none.
    pub(crate) fn keep(self: &Arc<Self>, mut note: CapturedCall) {
        note.id = Uuid::new_v4();
        match self.queue.push(note, self.plan.batch_size) {
            Queued::Yes => {}
            Queued::Full => self.drop_runs(1, "the queue is full"),
            Queued::StartTask => {
                let exporter = Arc::clone(self);
                let task = self.host.task().ok_or_else(|| missing("tasks"));
                let started = task.and_then(|task| task.spawn(async move { exporter.run().await }));
                if let Err(error) = started {
                    let lost = self.queue.give_up();
                    self.drop_runs(lost, &error.message);
                }
            }
        }
        self.waiting.set(self.queue.len() as f64);
    }

    /// Sends all waiting runs at once, because no new call will come.
    pub(crate) fn close(&self) {
        self.queue.close();
    }

    async fn run(&self) {
        let (Some(timer), Some(http)) = (self.host.timer(), self.host.http()) else {
            let lost = self.queue.give_up();
            return self.drop_runs(lost, "the gateway has no HTTP client");
        };
        let early = EndedEarly(self);
        loop {
            self.queue.due(timer, self.plan.batch_size, self.plan.flush_interval).await;
            let batch = self.queue.take(self.plan.batch_size);
            self.waiting.set(self.queue.len() as f64);
            if batch.is_empty() {
                std::mem::forget(early);
                return;
            }
            self.deliver(batch, timer, http).await;
        }
    }

    /// Sends a batch. If LangSmith refuses it for its content, halves it until the bad run is
    /// alone.
    async fn deliver(&self, batch: Vec<CapturedCall>, timer: Timer, http: Http) {
        let mut halves = 0;
        let mut left = vec![batch];
        while let Some(mut batch) = left.pop() {
            match self.attempts(&batch, timer, http).await {
                Ok(()) => self.sent.add(batch.len() as f64),
                // The status does not say which of them it has, or whether it accepted the others.
                Err(SendFailure::Known) if batch.len() > 1 => {
                    let second = batch.split_off(batch.len() / 2);
                    left.extend([second, batch]);
                }
                Err(SendFailure::Known) => self.sent.add(1.0),
                Err(SendFailure::Fewer(_)) if batch.len() > 1 && halves < MAX_HALVES => {
                    halves += 1;
                    let second = batch.split_off(batch.len() / 2);
                    left.extend([second, batch]);
                }
                Err(
                    SendFailure::Later(_, why) | SendFailure::Fewer(why) | SendFailure::Never(why),
                ) => {
                    self.drop_runs(batch.len(), &why);
                }
                Err(SendFailure::Taken) => {}
            }
        }
    }

    async fn attempts(
        &self,
        batch: &[CapturedCall],
        timer: Timer,
        http: Http,
    ) -> Result<(), SendFailure> {
        let body = run::batch(batch, &self.plan.project, &self.plan.run_name);
        let mut pauses = PAUSES.into_iter();
        loop {
            let was_closed = self.queue.is_closed();
            let sent = http.send(self.request(body.clone()));
            let answer = match self.queue.unless_late(sent, timer, LAST_TIMEOUT).await {
                Some(Ok(response)) => classify(&response),
                Some(Err(error)) => classify_error(error),
                None => SendFailure::Later(None, "it did not answer before the end".to_owned()),
            };
            if matches!(answer, SendFailure::Taken) {
                return Ok(());
            }
            self.failed.add(1.0);
            let SendFailure::Later(wanted, why) = answer else { return Err(answer) };
            // The gateway was already shutting down before this attempt, so it was the last one.
            let Some(pause) = pauses.next().filter(|_| !was_closed) else {
                return Err(SendFailure::Later(wanted, why));
            };
            let pause = wanted.map_or(pause, |wanted| wanted.min(LONGEST_PAUSE));
            self.queue.pause(timer, pause).await;
        }
    }

    fn request(&self, body: Vec<u8>) -> HttpRequest {
        let mut request = HttpRequest::post(self.plan.url.as_str())
            .header("content-type", "application/json")
            .timeout(TIMEOUT)
            .body(body);
        if let Some(key) = &self.plan.api_key {
            request = request.header("x-api-key", key.expose().trim());
        }
        if let Some(tenant) = &self.plan.tenant_id {
            request = request.header("x-tenant-id", tenant.expose().trim());
        }
        request
    }

    /// Counts dropped runs, and logs them at most once a minute.
    fn drop_runs(&self, count: usize, why: &str) {
        if count == 0 {
            return;
        }
        self.dropped.add(count as f64);
        let untold = self.untold.fetch_add(count as u64, Relaxed) + count as u64;
        let now = self.host.clock().map_or(Duration::ZERO, |clock| clock.monotonic());
        // One more than the time, so that 0 means "never".
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        let told_ms = self.told_ms.load(Relaxed);
        let quiet = told_ms != 0 && now_ms.saturating_sub(told_ms) < LINE_PAUSE.as_millis() as u64;
        if quiet || self.told_ms.compare_exchange(told_ms, now_ms, Relaxed, Relaxed).is_err() {
            return;
        }
        self.untold.fetch_sub(untold, Relaxed);
        let text = format!("runs were not sent to LangSmith: {why}");
        self.host.log_with(Level::Warn, &text, &[("runs", &untold.to_string())]);
    }
}

/// Lets another task start after one panicked or was cut off.
struct EndedEarly<'a>(&'a Exporter);

impl Drop for EndedEarly<'_> {
    fn drop(&mut self) {
        let lost = self.0.queue.give_up();
        self.0.drop_runs(lost, "the task that sends runs was cut off");
    }
}

fn missing(service: &str) -> HostError {
    HostError::new(HostErrorKind::INVALID, format!("this gateway has no {service}"))
}

fn classify(response: &HttpResponse) -> SendFailure {
    let status = response.status;
    let why = format!("it answered with status {status}");
    match status {
        200..300 => SendFailure::Taken,
        409 => SendFailure::Known,
        408 | 429 | 500.. => {
            let after = response.header("retry-after").and_then(|text| text.trim().parse().ok());
            SendFailure::Later(after.map(Duration::from_secs), why)
        }
        400 | 413 | 422 => SendFailure::Fewer(why),
        _ => SendFailure::Never(why),
    }
}

fn classify_error(error: HostError) -> SendFailure {
    match error.kind {
        HostErrorKind::UNREACHABLE | HostErrorKind::TIMEOUT | HostErrorKind::FULL => {
            SendFailure::Later(None, error.message)
        }
        _ => SendFailure::Never(error.message),
    }
}
