//! The mock host's models.

use crate::{HostError, HostErrorKind, HttpResponse, LlmResponse};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(super) type Script = Box<dyn FnMut(&Value) -> Result<LlmResponse, HostError> + Send>;

#[derive(Default)]
pub(super) struct MockModels(Mutex<State>);

#[derive(Default)]
struct State {
    script: Option<Script>,
    requests: Vec<Value>,
    denied: Vec<String>,
}

impl MockModels {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn script(&self, script: Script) {
        self.state().script = Some(script);
    }

    pub(super) fn requests(&self) -> Vec<Value> {
        self.state().requests.clone()
    }

    pub(super) fn deny(&self, model: &str) {
        self.state().denied.push(model.to_owned());
    }

    pub(super) fn permits(&self, model: &str) -> Result<(), HostError> {
        if self.state().denied.iter().any(|denied| denied == model) {
            return Err(HostError::new(HostErrorKind::NOT_GRANTED, "the test denied this model"));
        }
        Ok(())
    }

    pub(super) fn answer(&self, body: &[u8]) -> Result<HttpResponse, HostError> {
        let invalid = |error: serde_json::Error| {
            HostError::new(HostErrorKind::INVALID, format!("the body is not JSON: {error}"))
        };
        let body: Value = serde_json::from_slice(body).map_err(invalid)?;
        self.permits(body["model"].as_str().unwrap_or_default())?;
        let mut state = self.state();
        let State { script, requests, .. } = &mut *state;
        let answer = match script {
            Some(script) => script(&body),
            None => {
                let text = "expected a scripted answer, found none: call `MockHost::answer_llm` in the test";
                Err(HostError::new(HostErrorKind::UNREACHABLE, text))
            }
        };
        requests.push(body);
        answer.map(LlmResponse::into_http)
    }
}
