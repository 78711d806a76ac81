//! What one step does, and its log line.

use crate::newer::Newer;
use plugin_api::{
    Counter, Host, HostError, HostErrorKind, HttpRequest, InitError, Level, LlmCall, Route,
};
use serde::Deserialize;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

/// One step. In sync code, steps that wait (`http`, `sleep_ms`, `spawn`, `stubborn`,
/// `at_shutdown`) run as a task.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Sets a value, without expiry if `live_ms` is missing.
    KvSet { key: String, value: String, live_ms: Option<u64> },
    /// Reads a value: `detail` is the text, or `none`.
    KvGet(String),
    /// Adds 1 to a counter of this name.
    Count(String),
    /// Sends a request: `detail` is the status and the body.
    Http { url: String, body: Option<String>, timeout_ms: Option<u64> },
    /// Waits.
    SleepMs(u64),
    /// Runs steps as a task.
    Spawn(Vec<Step>),
    /// Runs steps as a task, when the shutdown begins.
    AtShutdown(Vec<Step>),
    /// Runs a job on a thread that may block.
    Job,
    /// Reads a secret: `detail` is its length.
    Secret(String),
    /// Logs `traced` with the plugin's own `tracing`.
    Trace,
    /// Panics.
    Panic,
    /// A task that never ends.
    Stubborn,
    /// Fills the store until it refuses: `detail` is the number of values stored.
    FloodKv,
    /// A step of a newer service.
    Newer(Newer),
    /// Registers metrics until one is refused.
    FloodMetrics,
    /// Starts tasks that never end until one is refused.
    FloodTasks,
}

/// Runs steps on one host.
#[derive(Debug, Clone)]
pub(crate) struct Runner {
    host: Host,
    waited: Arc<Counter>,
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

const MISSING: &str = "the host lends no such service";

impl Runner {
    pub(crate) fn new(host: Host) -> Result<Self, InitError> {
        let metrics = host.metrics().ok_or(InitError::new(MISSING))?;
        let waited = metrics.counter("waited_total", "Steps that waited.");
        Ok(Self { host, waited: Arc::new(waited.map_err(InitError::new)?) })
    }

    pub(crate) fn note_headers(&self, call: &LlmCall<'_>) {
        self.tell("headers", Ok(call.header("authorization").unwrap_or_default().to_owned()));
    }

    /// Puts secrets where others can read them.
    pub(crate) fn repeat(&self, call: &mut LlmCall<'_>, model: Option<&str>, route: Option<&str>) {
        let secret = |name: &str| Some(self.host.secrets()?.get(name).ok()?.expose().to_owned());
        let presented = call.header("authorization").unwrap_or_default().to_owned();
        let _ = call.set_metadata("presented", &presented);
        self.tell("passed on", Ok(call.metadata("presented").unwrap_or_default().to_owned()));
        if let Some(secret) = model.and_then(secret) {
            let _ = call.set_model(&secret);
        }
        if let Some(secret) = route.and_then(secret) {
            let base = format!("{}/{secret}", call.api_base().unwrap_or_default());
            let (model, api_base) = (Some(&*secret), Some(&*base));
            let _ = call.set_route(Route { model, api_base, ..Route::default() });
        }
    }

    /// Runs a step from sync code.
    pub(crate) fn run(&self, step: &Step) {
        match step {
            Step::Http { .. } | Step::SleepMs(_) => self.spawn(vec![step.clone()]),
            Step::Spawn(steps) => self.spawn(steps.clone()),
            Step::Stubborn => self.spawn(vec![Step::Stubborn]),
            Step::AtShutdown(_) => self.spawn(vec![step.clone()]),
            other => self.at_once(other),
        }
    }

    /// Runs a step to its end.
    pub(crate) fn wait_for(&self, step: &Step) -> Waiting {
        let (runner, step) = (self.clone(), step.clone());
        Box::pin(async move {
            match &step {
                Step::Http { url, body, timeout_ms } => {
                    let mut request = HttpRequest::post(url.as_str());
                    request = request.body(body.clone().unwrap_or_default());
                    if let Some(millis) = timeout_ms {
                        request = request.timeout(Duration::from_millis(*millis));
                    }
                    let http = runner.host.http();
                    let answer = match http {
                        Some(http) => http.send(request).await,
                        None => Err(HostError::new(HostErrorKind::INVALID, MISSING)),
                    };
                    runner.waited.add(1.0);
                    let shown = answer.map(|answer| {
                        format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
                    });
                    runner.tell("http", shown);
                }
                Step::SleepMs(millis) => {
                    if let Some(timer) = runner.host.timer() {
                        timer.sleep(Duration::from_millis(*millis)).await;
                    }
                    runner.waited.add(1.0);
                    runner.tell("sleep", Ok(String::new()));
                }
                Step::Stubborn => std::future::pending().await,
                Step::AtShutdown(steps) => {
                    if let Some(shutdown) = runner.host.task().and_then(|task| task.shutdown()) {
                        shutdown.await;
                        for step in steps {
                            runner.wait_for(step).await;
                        }
                    }
                }
                other => runner.run(other),
            }
        })
    }

    fn spawn(&self, steps: Vec<Step>) {
        let runner = self.clone();
        let work = async move {
            for step in &steps {
                runner.wait_for(step).await;
            }
        };
        let task = self.host.task();
        if let Some(Err(error)) = task.map(|task| task.spawn(work)) {
            self.tell("spawn", Err(error));
        }
    }

    #[expect(clippy::panic, reason = "what this plugin is for")]
    fn at_once(&self, step: &Step) {
        let Self { host, .. } = self;
        match step {
            Step::KvSet { key, value, live_ms } => {
                let live = live_ms.map(Duration::from_millis);
                let done = host.kv().map(|kv| kv.set(key, value.as_bytes(), live));
                self.tell("kv_set", done.unwrap_or(Ok(())).map(|()| String::new()));
            }
            Step::KvGet(key) => {
                let value = host.kv().and_then(|kv| kv.get(key));
                let text = value.map(|value| String::from_utf8_lossy(&value).into_owned());
                self.tell("kv_get", Ok(text.unwrap_or("none".to_owned())));
            }
            Step::Count(name) => {
                let counter = host.metrics().map(|metrics| metrics.counter(name, "Counted."));
                let done = counter.map(|counter| counter.map(|counter| counter.add(1.0)));
                self.tell("count", done.unwrap_or(Ok(())).map(|()| String::new()));
            }
            Step::Secret(name) => {
                let value = host.secrets().map(|secrets| secrets.get(name));
                let shown = value.map(|value| value.map(|it| it.expose().len().to_string()));
                self.tell("secret", shown.unwrap_or(Ok(String::new())));
            }
            Step::Job => {
                let runner = self.clone();
                let job = move || runner.tell("job", Ok(String::new()));
                if let Some(Err(error)) = host.task().map(|task| task.spawn_blocking(job)) {
                    self.tell("job", Err(error));
                }
            }
            Step::Newer(step) => {
                let (name, outcome) = step.outcome(*host);
                self.tell(name, outcome);
            }
            Step::Trace => tracing::info!(outcome = "ok", detail = 7, "traced"),
            Step::Panic => panic!("asked to"),
            Step::FloodKv => self.flood("flood_kv", |index| {
                let kv = host.kv();
                kv.map_or(Ok(()), |kv| kv.set(&index.to_string(), &[0; 100_000], None))
            }),
            Step::FloodMetrics => self.flood("flood_metrics", |index| {
                let metrics = host.metrics();
                metrics.map_or(Ok(()), |it| it.gauge(&format!("g{index}"), "").map(drop))
            }),
            Step::FloodTasks => self.flood("flood_tasks", |_| {
                host.task().map_or(Ok(()), |task| task.spawn(std::future::pending()))
            }),
            Step::Http { .. }
            | Step::SleepMs(_)
            | Step::Spawn(_)
            | Step::AtShutdown(_)
            | Step::Stubborn => {}
        }
    }

    fn flood(&self, name: &str, mut one: impl FnMut(u32) -> Result<(), HostError>) {
        let refused = (0..5000).map(|index| (index, one(index))).find(|(_, it)| it.is_err());
        let Some((count, Err(error))) = refused else {
            return self.tell(name, Ok("never refused".to_owned()));
        };
        let (outcome, count) = (words(error.kind), count.to_string());
        self.host.log_with(Level::Info, name, &[("outcome", outcome), ("detail", &count)]);
    }

    fn tell(&self, name: &str, outcome: Result<String, HostError>) {
        let (outcome, detail) = match outcome {
            Ok(detail) => ("ok", detail),
            Err(error) => (words(error.kind), error.message),
        };
        self.host.log_with(Level::Info, name, &[("outcome", outcome), ("detail", &detail)]);
    }
}

fn words(kind: HostErrorKind) -> &'static str {
    match kind {
        HostErrorKind::NOT_GRANTED => "not granted",
        HostErrorKind::NOT_SET => "not set",
        HostErrorKind::INVALID => "invalid",
        HostErrorKind::TOO_LARGE => "too large",
        HostErrorKind::FULL => "full",
        HostErrorKind::ENDING => "ending",
        HostErrorKind::UNREACHABLE => "unreachable",
        HostErrorKind::TIMEOUT => "timeout",
        HostErrorKind::NOT_SUPPORTED => "not supported",
        _ => "other",
    }
}
