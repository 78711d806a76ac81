//! Asks the model of an entry whether it answers, for `GET /health?ask=true`: the smallest call of
//! its kind, sent as a client's would be. No callback runs, and nothing is counted as a call.

use super::{
    access_log::Record,
    attempt,
    attempted::Attempted,
    completion,
    connection_timer::ConnectionTimer,
    disclosure::disclose,
    prepared, request,
    upstream_request::{self, Attempt, Sent},
};
use crate::app::App;
use bytes::Bytes;
use callgate_call::Target;
use callgate_deployments::Deployment;
use callgate_failure::Failure;
use callgate_json::Body;
use callgate_providers::{CallKind, StreamRequest};
use futures_util::{FutureExt as _, future::join_all};
use http::HeaderMap;
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

/// A model that has not answered after this time does not, for a monitor.
const PATIENCE: Duration = Duration::from_secs(60);

/// The models that are asked at the same time.
const AT_ONCE: usize = 8;

/// Enough for a model that thinks before it speaks to say something.
const TOKENS: u32 = 16;

/// What became of the question to one model.
#[derive(Debug)]
pub(super) enum HealthAnswer {
    Answered,
    /// It cannot be asked in this way.
    Unasked(&'static str),
    Failed(String),
}

/// Asks all of these; the results are in their order.
pub(super) async fn ask_all(app: &App, entries: &[Arc<Deployment>]) -> Vec<HealthAnswer> {
    let mut answers = Vec::with_capacity(entries.len());
    for some in entries.chunks(AT_ONCE) {
        let asking: Vec<_> = some.iter().map(|entry| ask(app, entry).boxed()).collect();
        answers.extend(join_all(asking).await);
    }
    answers
}

async fn ask(app: &App, entry: &Arc<Deployment>) -> HealthAnswer {
    if entry.mock_response.is_some() {
        return HealthAnswer::Unasked("it has a fixed answer");
    }
    if entry.upstream_model.contains('*') {
        return HealthAnswer::Unasked("it stands for many models");
    }
    if entry.token_source.is_some() {
        return HealthAnswer::Unasked("its token is fetched with the first call");
    }
    let Some((kind, question)) = question(entry) else {
        return HealthAnswer::Unasked("models of its mode are not asked");
    };
    match answer(app, entry, (kind, question)).await {
        Ok(()) => HealthAnswer::Answered,
        Err(failure) => HealthAnswer::Failed(failure.message.to_string()),
    }
}

/// The smallest call that the model answers.
fn question(entry: &Deployment) -> Option<(CallKind, Value)> {
    let mode = entry.model_info.get("mode").and_then(Value::as_str);
    let (name, text) = (&*entry.model_name, "ping");
    match mode {
        Some("embedding") => Some((CallKind::Embeddings, json!({"model": name, "input": text}))),
        None | Some("chat" | "responses" | "anthropic_messages")
            if entry.serves(CallKind::Chat) =>
        {
            let messages = json!([{"role": "user", "content": text}]);
            let asked = json!({"model": name, "messages": messages, "max_tokens": TOKENS});
            Some((CallKind::Chat, asked))
        }
        _ => None,
    }
}

/// Makes the call, and judges the answer as a client's.
async fn answer(
    app: &App,
    entry: &Arc<Deployment>,
    (kind, question): (CallKind, Value),
) -> Result<(), Failure> {
    let (headers, accepted) = (HeaderMap::new(), Instant::now());
    let id = request::call_id(app, &headers);
    let mut record = Record::new(id, Cow::Borrowed("/health"), accepted);
    let body = Body::parse(question.to_string().into())
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let call = request::accepted_call(app, (headers, body), (kind, None), &record)?;
    let target = Target::of(Arc::clone(entry));
    let (_, outgoing) = prepared::outgoing(&call, &target, kind).await?;
    let url = prepared::url(&target, kind);
    let lines = upstream_request::request_lines(
        &app.hop,
        &call,
        (&target, None),
        (&url, kind),
        outgoing.headers,
    );
    let sent = Sent {
        kind,
        asked_kind: kind,
        echoed: Bytes::new(),
        url,
        echo: completion::echo(&call),
        asked: StreamRequest { usage: false, choices: outgoing.choices },
        base64: outgoing.base64,
        timeout: entry.timeout.min(PATIENCE),
        first_content: None,
        started: accepted,
        facts: None,
        target: target.clone(),
    };
    let attempt = Attempt { sent, outgoing, form: None, lines };
    let timer = ConnectionTimer::default();
    let answered = attempt::json((app, &timer, &mut record), attempt).await;
    answered.map(|_: Attempted| ()).map_err(|mut failure| {
        disclose(&mut failure, app, &call, Some(&target));
        failure
    })
}
