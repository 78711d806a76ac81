//! Calls of the config's own models.

use super::{HostError, HttpResponse};
use crate::abi::{HostHandle, LlmVtRef, RawLlmRequest, View};
use serde_json::{Map, Value, json};
use std::{future::Future, time::Duration};

/// Calls models of the config, through the gateway's own deployments, limits and log. No key and no
/// socket is involved.
///
/// The entry needs a grant: `grants: {models: ["small", "judge-*"]}`. Such a call runs the hooks of
/// all callbacks of the list but this one, so limits count it and guardrails see it. Its key id, in
/// the log and for the other callbacks, is `callback:` and the entry's name. A call that is made
/// because of a call that a callback made, and so on, is refused beyond a depth of
/// [`limits::DEPTH`](crate::limits::DEPTH), also if it comes by HTTP to the gateway's own address.
///
/// ```
/// use plugin_api::{
///     AsyncCallback, Flow, Hook, Host, InitError, Llm, LlmCall, LlmRequest, Rejection,
/// };
///
/// /// Asks a small model whether a prompt is harmless.
/// struct Gate(Llm);
///
/// impl AsyncCallback for Gate {
///     type Settings = serde_json::Value;
///
///     fn new(host: Host, _: Self::Settings) -> Result<Self, InitError> {
///         let llm = host.llm().ok_or_else(|| InitError::new("it needs a newer gateway"))?;
///         llm.permits("small").map_err(InitError::new)?;
///         Ok(Self(llm))
///     }
///
///     async fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
///         let prompt = call.message_text(0).unwrap_or_default();
///         let question = format!("Harmless? yes or no: {prompt}");
///         let answer = self.0.chat(LlmRequest::new("small").message("user", &question)).await;
///         match answer.ok().and_then(|answer| answer.text()) {
///             Some(text) if text.trim() == "yes" => Ok(Flow::Continue),
///             _ => Err(Rejection::new(400, "the prompt was refused").into()),
///         }
///     }
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Llm {
    pub(super) raw: HostHandle,
    pub(super) vt: LlmVtRef,
}

impl Llm {
    /// Makes a chat completion and returns its answer, also if the call failed: its status says so,
    /// and its body is then OpenAI's error object. Dropping the future cancels the call. Without a
    /// timeout of its own, those of the deployment and of the hook apply.
    ///
    /// # Errors
    /// [`NOT_GRANTED`](super::HostErrorKind::NOT_GRANTED): the model is not granted;
    /// [`INVALID`](super::HostErrorKind::INVALID): the request is not valid, or asks for a stream;
    /// [`TOO_DEEP`](super::HostErrorKind::TOO_DEEP): calls of callbacks have led to this call;
    /// [`FULL`](super::HostErrorKind::FULL): 64 calls of this instance are running;
    /// [`TIMEOUT`](super::HostErrorKind::TIMEOUT): the answer did not come in time;
    /// [`ENDING`](super::HostErrorKind::ENDING): the gateway is shutting down, or does not serve
    /// yet.
    pub fn chat(
        &self,
        request: LlmRequest,
    ) -> impl Future<Output = Result<LlmResponse, HostError>> + Send + use<> {
        // SAFETY: as in `Host`; the request is given away.
        let made = unsafe { (self.vt.chat())(self.raw.ctx, request.into()) };
        async move { Ok(LlmResponse(made.await.into_result()?.into())) }
    }

    /// Returns whether the config grants this model. In `new`, a callback that cannot work
    /// otherwise can refuse to start, and so fails in `callgate check`.
    ///
    /// # Errors
    /// [`NOT_GRANTED`](super::HostErrorKind::NOT_GRANTED), with the remedy in its text.
    pub fn permits(&self, model: &str) -> Result<(), HostError> {
        // SAFETY: as in `Host`; the view lives until the call returns.
        let refused = unsafe { (self.vt.permits())(self.raw.ctx, View::of(model.as_bytes())) };
        refused.into_option().map_or(Ok(()), |error| Err(error.into()))
    }
}

/// A chat completion to make. `Debug` shows only the model.
///
/// ```
/// use plugin_api::LlmRequest;
/// use std::time::Duration;
///
/// let request = LlmRequest::new("small")
///     .message("system", "Answer with a number from 1 to 5.")
///     .message("user", "How polite is this?")
///     .param("temperature", 0)
///     .timeout(Duration::from_secs(5));
/// assert_eq!(request.body()["messages"][1]["role"], "user");
/// ```
#[derive(Clone, PartialEq)]
pub struct LlmRequest {
    body: Map<String, Value>,
    timeout: Option<Duration>,
}

impl LlmRequest {
    /// A request without messages.
    pub fn new(model: &str) -> Self {
        let mut body = Map::new();
        body.insert("model".to_owned(), model.into());
        body.insert("messages".to_owned(), json!([]));
        Self { body, timeout: None }
    }

    /// Appends a message.
    #[must_use]
    pub fn message(mut self, role: &str, text: &str) -> Self {
        if let Some(Value::Array(messages)) = self.body.get_mut("messages") {
            messages.push(json!({"role": role, "content": text}));
        }
        self
    }

    /// Sets a member of the body, such as `temperature`; `messages` too, as a whole.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.body.insert(name.to_owned(), value.into());
        self
    }

    /// Limits the whole call.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &Map<String, Value> {
        &self.body
    }
}

impl std::fmt::Debug for LlmRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmRequest").field("model", &self.body.get("model")).finish_non_exhaustive()
    }
}

impl From<LlmRequest> for RawLlmRequest {
    fn from(request: LlmRequest) -> Self {
        let timeout = request.timeout.map_or(0, |time| time.as_millis().clamp(1, u64::MAX.into()));
        Self {
            body: Value::Object(request.body).to_string().into_bytes().into(),
            timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX),
        }
    }
}

/// The answer to an [`LlmRequest`]: a chat completion, or an error object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LlmResponse(HttpResponse);

impl LlmResponse {
    /// A response, for a test's scripted answer.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self(HttpResponse::new(status).with_body(body))
    }

    /// A completion with this text, for a test's scripted answer.
    #[must_use]
    pub fn completion(text: &str) -> Self {
        let message = json!({"role": "assistant", "content": text});
        let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
        Self::new(200, json!({"object": "chat.completion", "choices": choices}).to_string())
    }

    #[cfg(feature = "testing")]
    pub(crate) fn into_http(self) -> HttpResponse {
        self.0
    }

    /// Returns the status that a client would get.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// Returns whether the body is a completion.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.0.is_success()
    }

    /// Returns the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0.body
    }

    /// Returns a response header, such as `x-litellm-model-id`.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    /// Returns the text of a completion's first choice.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let body: Value = serde_json::from_slice(self.body()).ok()?;
        Some(body["choices"][0]["message"]["content"].as_str()?.to_owned())
    }
}
