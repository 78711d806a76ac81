//! The state of a call as data, for tools and records: all that start hooks may change.

use callgate_call::{Call, Target};
use callgate_deployments::Deployments;
use serde_json::{Map, Value, json};

/// The current state of the call. It contains no key.
pub(super) fn call_state(call: &Call, deployments: &Deployments) -> Value {
    let target = call.planned(deployments);
    let body = serde_json::from_str(call.body_text()).unwrap_or_default();
    let mut params: Map<String, Value> = match body {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let messages = params.remove("messages");
    params.remove("model");
    let headers = |headers: &[(http::HeaderName, http::HeaderValue)]| {
        texts(headers.iter().map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        }))
    };
    let mut state = json!({
        "model": call.model(),
        "provider": target.map(|target| &*target.deployment().label),
        "upstream_model": target.map(|target| &**target.upstream_model()),
        "api_base": target.map(Target::api_base),
        "api_key": target.and_then(Target::callback_key).map(|_| "set by a callback"),
        "upstream_headers": headers(&call.upstream_headers),
        "metadata": texts(call.all_metadata().map(|(name, value)| (name, value.to_owned()))),
        "params": params,
        "messages": messages,
    });
    if !call.reply_headers.is_empty() {
        state["reply_headers"] = Value::Object(headers(&call.reply_headers));
    }
    state
}

pub(super) fn texts<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> Map<String, Value> {
    pairs.map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
}
