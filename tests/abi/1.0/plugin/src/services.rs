//! A callback of ABI 1.0 that uses every service of the host once, and answers the call with what came of
//! each: `clock ok, counters ok, …`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use plugin_api::{
    Admission, AsyncCallback, Flow, Hook, Host, HttpRequest, InitError, Level, LlmCall, Reply,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where a request goes; its host must be granted.
    url: String,
    /// A variable that must be granted.
    secret: String,
    /// How often it waits a millisecond for what runs beside; 0: not at all.
    #[serde(default)]
    waits: u32,
}

pub struct Services {
    host: Host,
    settings: Settings,
}

/// The name of a service, and whether it did what it is for; `None`: not lent.
type Outcome = (&'static str, Option<bool>);

impl AsyncCallback for Services {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        Ok(Self { host, settings })
    }

    async fn on_llm_start(&self, _: &mut LlmCall<'_>) -> Hook {
        self.host.log(Level::Info, "services are asked");
        let mut outcomes = vec![self.clock(), self.counters(), self.kv(), self.metrics()];
        outcomes.push(("secrets", self.host.secrets().map(|it| self.reads_its_secret(it))));
        outcomes.push(self.http().await);
        outcomes.extend(self.timer_and_task().await);
        let said = outcomes.iter().map(|(name, outcome)| {
            let outcome = match outcome {
                Some(true) => "ok",
                Some(false) => "failed",
                None => "absent",
            };
            format!("{name} {outcome}")
        });
        Ok(Flow::Reply(Reply::Text(said.collect::<Vec<_>>().join(", "))))
    }
}

impl Services {
    fn clock(&self) -> Outcome {
        let ok = self.host.clock().map(|it| it.unix_ms() > 0 && it.monotonic() >= Duration::ZERO);
        ("clock", ok)
    }

    fn counters(&self) -> Outcome {
        let ok = self.host.counters().map(|it| {
            let day = Duration::from_secs(86400);
            let Admission::Admitted(ticket) = it.admit("window", 1, day) else { return false };
            let is_full = matches!(it.admit("window", 1, day), Admission::Full(_));
            it.release("window", ticket);
            let takes = matches!(it.take("bucket", 1.0, 1e6, 1.0), Admission::Admitted(_));
            is_full && takes && it.add("n", 2) - it.add("n", -2) == 2
        });
        ("counters", ok)
    }

    fn kv(&self) -> Outcome {
        let ok = self.host.kv().map(|it| {
            it.set("k", b"v", Some(Duration::from_secs(600))).is_ok()
                && it.get("k").as_deref() == Some(b"v")
                && it.delete("k")
                && it.get("k").is_none()
        });
        ("kv", ok)
    }

    fn metrics(&self) -> Outcome {
        let ok = self.host.metrics().map(|it| {
            let made = (
                it.counter("asked_total", "How often"),
                it.gauge("level", "How high"),
                it.histogram("sizes", "How large", &[1.0, 2.0]),
            );
            let (Ok(counter), Ok(gauge), Ok(histogram)) = made else { return false };
            counter.add(1.0);
            gauge.set(4.0);
            histogram.record(1.5);
            it.counter("no name", "").is_err()
        });
        ("metrics", ok)
    }

    fn reads_its_secret(&self, secrets: plugin_api::Secrets) -> bool {
        secrets.get(&self.settings.secret).is_ok_and(|it| !it.expose().is_empty())
            && secrets.get("NOT_GRANTED_ANYWHERE").is_err()
    }

    async fn http(&self) -> Outcome {
        let Some(http) = self.host.http() else { return ("http", None) };
        let request = HttpRequest::post(&self.settings.url).header("x-asked", "1").body("hello");
        let answer = http.send(request.timeout(Duration::from_secs(30))).await;
        ("http", Some(answer.is_ok_and(|it| it.status == 201 && it.body == b"yes")))
    }

    async fn timer_and_task(&self) -> [Outcome; 2] {
        let (Some(timer), Some(task)) = (self.host.timer(), self.host.task()) else {
            return [("timer", None), ("task", None)];
        };
        let done = [Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false))];
        let [beside, job] = done.clone();
        let accepted = task.spawn(async move { beside.store(true, Ordering::Release) }).is_ok()
            && task.spawn_blocking(move || job.store(true, Ordering::Release)).is_ok();
        let have_run = || done.iter().all(|it| it.load(Ordering::Acquire));
        for _ in 0..self.settings.waits {
            if !accepted || have_run() {
                break;
            }
            timer.sleep(Duration::from_millis(1)).await;
        }
        [("timer", Some(true)), ("task", Some(have_run()))]
    }
}
