//! The clock and the answers of a replay.

use crate::record::text_of;
use callgate_host::{Asked, Clock, HttpAnswers, Services};
use plugin_api::{HostError, HostErrorKind, HttpResponse};
use serde::Deserialize as _;
use serde_json::Value;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// What callbacks of a replay get from the host in place of the world. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct ReplayServices(Arc<Recorded>);

#[derive(Debug, Default)]
struct Recorded {
    unix_ms: AtomicU64,
    /// The exchanges of the call that have answered nothing so far.
    exchanges: Mutex<Vec<Value>>,
}

impl ReplayServices {
    /// Services that send nothing and know only recorded time and answers.
    #[must_use]
    pub fn services(&self) -> Services {
        let (clock, answers) = (Arc::<Recorded>::clone(&self.0), Arc::<Recorded>::clone(&self.0));
        Services::idle().with_clock(clock).with_answers(answers)
    }

    pub(super) fn answer_with<'a>(&self, exchanges: impl Iterator<Item = &'a Value>) {
        let mut kept = self.0.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        *kept = exchanges.cloned().collect();
    }

    /// Time never goes back, because a plugin may rely on that.
    pub(super) fn set_time(&self, unix_ms: u64) {
        self.0.unix_ms.fetch_max(unix_ms, Relaxed);
    }
}

impl Clock for Recorded {
    fn monotonic_ns(&self) -> u64 {
        self.unix_ms.load(Relaxed).saturating_mul(1_000_000)
    }

    fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Relaxed)
    }
}

impl HttpAnswers for Recorded {
    /// The recorded answer to the same request; else the next one of the same method and path,
    /// because bodies and queries are recorded without their secrets.
    fn answer(&self, asked: &Asked<'_>) -> Result<HttpResponse, HostError> {
        let request = asked.request;
        let (url, body) = ((asked.mask)(request.url()), request.body_bytes());
        let body = (asked.mask)(&String::from_utf8_lossy(body));
        let body: Value = serde_json::from_str(&body).unwrap_or(Value::String(body));
        let path = |url: &str| url.split('?').next().unwrap_or_default().to_owned();
        let method = |it: &Value| it["method"] == request.method();
        let same = |it: &Value| method(it) && it["url"] == *url && it["body"] == body;
        let alike =
            |it: &Value| method(it) && it["url"].as_str().is_some_and(|it| path(it) == path(&url));
        let mut kept = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(same).or_else(|| kept.iter().position(alike));
        let Some(index) = found else {
            let text = format!("no answer to {} {} was recorded", request.method(), path(&url));
            return Err(HostError::new(HostErrorKind::UNREACHABLE, text));
        };
        answer_of(&kept.remove(index))
    }
}

fn answer_of(exchange: &Value) -> Result<HttpResponse, HostError> {
    let response = &exchange["response"];
    if response.is_null() {
        let error = &exchange["error"];
        let kind = error["kind"].as_u64().and_then(|kind| u32::try_from(kind).ok());
        let kind = kind.map_or(HostErrorKind::UNREACHABLE, HostErrorKind);
        return Err(HostError::new(kind, error["message"].as_str().unwrap_or_default()));
    }
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    let mut answer = HttpResponse::new(status.unwrap_or(200)).with_body(text_of(&response["body"]));
    answer.headers = Vec::deserialize(&response["headers"]).unwrap_or_default();
    Ok(answer)
}
