//! The mock host's models.

use super::MockHost;
use crate::{HostError, HostErrorKind, HttpResponse, LlmResponse};
use serde_json::Value;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Script = Box<dyn FnMut(&Value) -> Result<LlmResponse, HostError> + Send>;

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

impl MockHost {
    /// Answers every call of [`Llm::chat`](crate::Llm::chat) from now on with this function, which
    /// gets the body. Without a function, every call fails as unreachable.
    ///
    /// ```
    /// use plugin_api::{LlmResponse, testing::MockHost};
    ///
    /// let host = MockHost::new();
    /// host.answer_llm(|_| Ok(LlmResponse::completion("4")));
    /// assert!(host.llm_requests().is_empty());
    /// ```
    pub fn answer_llm(
        &self,
        script: impl FnMut(&Value) -> Result<LlmResponse, HostError> + Send + 'static,
    ) {
        self.models().state().script = Some(Box::new(script));
    }

    /// Returns the bodies of all calls so far, in order.
    #[must_use]
    pub fn llm_requests(&self) -> Vec<Value> {
        self.models().state().requests.clone()
    }

    /// Takes the grant of this model away.
    pub fn deny_model(&self, model: &str) {
        self.models().state().denied.push(model.to_owned());
    }
}
