//! A record as JSON, and the data of hooks from it. `docs/plugin-guide.md` describes the format.

use super::{
    call_record::{HookRecord, HookVerdict, Recorded},
    images::{CallImage, Circumstances, EventImage},
};
use crate::{
    call_state::{call_state, texts},
    changes::{Change, changes},
    payload::{CallStats, ChunkPayload, EndPayload, ErrorPayload},
};
use callgate_call::{Call, Target};
use callgate_failure::Failure;
use callgate_host::Exchange;
use callgate_providers::Usage;
use callgate_secret::credentials::{is_credential, sent_keys};
use http::{HeaderName, HeaderValue};
use plugin_api::FailureKind;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use std::{borrow::Cow, sync::Arc, time::Duration};

pub(crate) const FORMAT: &str = "callgate-record";
pub(crate) const VERSION: u64 = 1;

/// The whole record but the facts about the callback.
pub(super) fn record(recorded: &Recorded) -> Value {
    json!({
        "format": FORMAT,
        "version": VERSION,
        "unix_ms": recorded.hooks.first().map(|hook| hook.unix_ms),
        "call": call(&recorded.first),
        "hooks": recorded.hooks.iter().map(hook).collect::<Vec<_>>(),
    })
}

/// The keys that the client sent.
pub(super) fn keys(recorded: &Recorded) -> Vec<String> {
    let call = &recorded.first.call;
    sent_keys(&call.headers, call.key_header.as_ref()).map(str::to_owned).collect()
}

fn call(image: &CallImage) -> Value {
    let CallImage { call, deployments } = image;
    let fact = |name: &str| call.caller.fact(name);
    let target = call.planned(deployments);
    json!({
        "id": &*call.id,
        "endpoint": call.kind.endpoint().0,
        "path": call.path,
        "stream": call.stream,
        "requested_model": &*call.requested_model,
        "model": call.model(),
        "key_id": call.caller.key_id,
        "caller": {
            "alias": fact("alias"), "user": fact("user"), "team": fact("team"),
            "tags": fact("tags"), "metadata": fact("metadata"),
        },
        "headers": headers(call),
        "upstream_headers": pairs(&call.upstream_headers),
        "reply_headers": pairs(&call.reply_headers),
        "target": target.map(target_json),
        "body": json_or_text(call.body_text()),
    })
}

fn model_and_target(image: &CallImage) -> Value {
    let target = image.call.planned(&image.deployments);
    json!({"model": image.call.model(), "target": target.map(target_json)})
}

fn target_json(target: &Target) -> Value {
    let info = target.deployment().model_info_json();
    json!({
        "provider": &*target.deployment().label,
        "upstream_model": &**target.upstream_model(),
        "api_base": target.api_base(),
        "model_info": info.and_then(|json| serde_json::from_str::<Value>(json).ok()),
    })
}

/// The client's headers; those with keys are hidden even from a callback that may read them.
fn headers(call: &Call) -> Vec<[String; 2]> {
    let shown = |(name, value): (&HeaderName, &HeaderValue)| {
        let hidden = is_credential(name.as_str(), call.key_header.as_ref());
        let value = if hidden { "***".into() } else { String::from_utf8_lossy(value.as_bytes()) };
        [name.as_str().to_owned(), value.into_owned()]
    };
    call.headers.iter().map(shown).collect()
}

fn pairs(headers: &[(HeaderName, HeaderValue)]) -> Vec<[String; 2]> {
    let pair = |(name, value): &(HeaderName, HeaderValue)| {
        [name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()]
    };
    headers.iter().map(pair).collect()
}

/// Text that is not JSON is kept as a string.
fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

fn hook(hook: &HookRecord) -> Value {
    let (before, after) = (&hook.before, &hook.after);
    let mut edits: Vec<Change> = match &hook.calls {
        Some((before, after)) => changes(
            &call_state(&before.call, &before.deployments),
            &call_state(&after.call, &after.deployments),
        ),
        None => {
            let mut edits = changes(&event(&before.1), &event(&after.1));
            let metadata = |it: &Circumstances| json!({"metadata": metadata(it)});
            edits.extend(changes(&metadata(&before.0), &metadata(&after.0)));
            edits
        }
    };
    edits.sort_by(|a, b| a.path.cmp(&b.path));
    let edits: Map<String, Value> = edits
        .into_iter()
        .map(|change| {
            let to = change.after.map_or_else(|| json!({"removed": true}), |to| json!({"to": to}));
            (change.path, to)
        })
        .collect();
    json!({
        "hook": hook.hook.name(),
        "unix_ms": hook.unix_ms,
        "input": {
            "metadata": metadata(&before.0),
            "asked": before.0.asked,
            "client_gone": before.0.client_gone,
            "response": before.0.response.as_ref().map(|(status, headers)| {
                json!({"status": status, "headers": json_or_text(headers)})
            }),
            "event": event(&before.1),
        },
        "outcome": {"verdict": verdict(&hook.verdict), "edits": edits},
        "call_after": hook.calls.as_ref().map(|(_, after)| model_and_target(after)),
        "http": hook.http.iter().map(exchange).collect::<Vec<_>>(),
    })
}

fn metadata(circumstances: &Circumstances) -> Map<String, Value> {
    texts(circumstances.metadata.iter().map(|(name, value)| (&**name, value.clone())))
}

fn event(image: &EventImage) -> Value {
    match image {
        EventImage::Nothing => Value::Null,
        EventImage::Chunk(chunk) => {
            let (hold, held, flushed) = chunk.held_back();
            json!({
                "index": chunk.index,
                "chunk": json_or_text(&chunk.json),
                "dropped": chunk.dropped,
                "emitted": chunk.emitted.iter().map(|it| json_or_text(it)).collect::<Vec<_>>(),
                "hold": hold, "held": held, "flushed": flushed,
            })
        }
        EventImage::Reply(reply) => end(reply),
        EventImage::Failure(failing) => failure(failing),
    }
}

fn end(reply: &EndPayload<'_>) -> Value {
    let json = |bytes: &bytes::Bytes| json_or_text(&String::from_utf8_lossy(bytes));
    json!({
        "status": reply.status,
        "json": reply.json.as_ref().map(json),
        "headers": pairs(&reply.headers),
        "from_callback": reply.from_callback,
        "completion": reply.completion.as_ref().map(json),
        "text": reply.streamed.text,
        "finish_reason": reply.streamed.finish_reason,
        "figures": figures(&reply.figures),
    })
}

fn failure(failing: &ErrorPayload<'_>) -> Value {
    let failure = &failing.failure;
    json!({
        "kind": failure.kind.0,
        "status": failure.status,
        "type": failure.error_type,
        "code": failure.code,
        "message": failure.message,
        "retry_after": failure.retry_after,
        "headers": failure.headers,
        "callback": failure.callback.as_deref(),
        "sent": failing.sent,
        "text": failing.streamed,
        "figures": figures(&failing.figures),
    })
}

fn figures(figures: &CallStats) -> Value {
    let us = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let usage = figures.usage.map(|usage| {
        json!({
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        })
    });
    json!({
        "usage": usage,
        "elapsed_us": us(figures.elapsed),
        "upstream_us": figures.upstream.map(us),
        "first_token_us": figures.first_token.map(us),
    })
}

fn verdict(verdict: &HookVerdict) -> Value {
    match verdict {
        HookVerdict::Continue => json!({"kind": "continue"}),
        HookVerdict::Reply(plugin_api::Reply::Json(json)) => {
            json!({"kind": "reply", "json": json_or_text(json)})
        }
        HookVerdict::ReplyStream | HookVerdict::Reply(plugin_api::Reply::Stream(_)) => {
            json!({"kind": "reply", "stream": true})
        }
        HookVerdict::Reply(plugin_api::Reply::Text(text)) => json!({"kind": "reply", "text": text}),
        HookVerdict::Rejection(failure) => json!({
            "kind": "rejection",
            "status": failure.status,
            "message": failure.message,
            "code": failure.code,
            "retry_after": failure.retry_after,
            "headers": failure.headers,
        }),
        HookVerdict::Fault { message, spoiled } => {
            json!({"kind": "fault", "message": message, "panicked": spoiled})
        }
    }
}

/// An exchange without the request's headers, which hold keys.
fn exchange(exchange: &Exchange) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (request, answer) = (&exchange.request, &exchange.answer);
    let (response, error) = (answer.as_ref().ok(), answer.as_ref().err());
    let visible =
        |(name, _): &&(String, String)| !is_credential(name, None) && name != "set-cookie";
    json!({
        "method": request.method(),
        "url": request.url(),
        "body": json_or_text(&text(request.body_bytes())),
        "response": response.map(|response| json!({
            "status": response.status,
            "headers": response.headers.iter().filter(visible).collect::<Vec<_>>(),
            "body": json_or_text(&text(&response.body)),
        })),
        "error": error.map(|error| json!({"kind": error.kind.0, "message": error.message})),
    })
}

/// The chunk that a hook got.
pub(crate) fn chunk_of(event: &Value) -> ChunkPayload {
    let held = event["held"].as_u64().and_then(|held| usize::try_from(held).ok());
    let (index, flushed) = (event["index"].as_u64(), event["flushed"] == true);
    let json = text_of(&event["chunk"]);
    ChunkPayload::as_recorded(index.unwrap_or_default(), json, held.unwrap_or_default(), flushed)
}

/// The token counts and durations that a hook got.
pub(crate) fn figures_of(figures: &Value) -> CallStats {
    let time = |name: &str| figures[name].as_u64().map(Duration::from_micros);
    CallStats {
        usage: Usage::deserialize(&figures["usage"]).ok(),
        elapsed: time("elapsed_us").unwrap_or_default(),
        upstream: time("upstream_us"),
        first_token: time("first_token_us"),
    }
}

/// The failure that a hook got.
pub(crate) fn failure_of(event: &Value) -> Failure {
    let text = |name: &str| event[name].as_str().map(str::to_owned);
    let number = |name: &str| event[name].as_u64();
    let kind = number("kind").and_then(|kind| u32::try_from(kind).ok()).map(FailureKind);
    let status = number("status").and_then(|status| u16::try_from(status).ok());
    let message = text("message").unwrap_or_default();
    let by: Arc<str> = text("callback").unwrap_or_default().into();
    let kind = kind.unwrap_or(FailureKind::FAULT);
    let mut failure = Failure::of_callback(&by, kind, status.unwrap_or(500), message);
    failure.error_type = Cow::Owned(text("type").unwrap_or_default());
    failure.code = text("code").map(Cow::Owned);
    failure.retry_after = text("retry_after");
    failure.headers = Vec::deserialize(&event["headers"]).unwrap_or_default();
    failure.callback = text("callback").map(Into::into);
    failure
}

/// JSON as text; a text is itself.
pub(crate) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
