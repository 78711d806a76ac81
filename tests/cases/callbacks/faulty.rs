//! The callbacks of the `faulty` plugin as entries of the `callbacks` list, and the recorders'
//! lines in the log. `tests/plugins/faulty` documents each action.

use callgate_tests::{
    Gateway, build,
    log::{Log, LogLine},
};
use serde_json::{Value, json};

/// An entry that acts: `acts` has a list of actions for each hook.
pub(crate) fn faulty(tag: &str, acts: Value) -> Value {
    entry("faulty", tag, acts)
}

/// The same with hooks that are futures.
pub(crate) fn faulty_async(tag: &str, acts: Value) -> Value {
    entry("faulty_async", tag, acts)
}

/// The same with `on_llm_during`.
pub(crate) fn faulty_beside(tag: &str, acts: Value) -> Value {
    entry("faulty_beside", tag, acts)
}

/// An entry that changes nothing and logs a line for each hook.
pub(crate) fn recorder(tag: &str) -> Value {
    entry("recorder", tag, json!({}))
}

/// Any callback of the `faulty` plugin, without a breaker.
pub(crate) fn entry(name: &str, tag: &str, mut settings: Value) -> Value {
    settings["label"] = json!(tag);
    json!({
        "name": name, "path": build::plugin("faulty"), "instance": tag, "settings": settings,
        "breaker": false,
    })
}

/// `faulty` with its own threads.
pub(crate) fn faulty_blocking(tag: &str, acts: Value) -> Value {
    with(entry("faulty", tag, acts), "mode", json!("blocking"))
}

/// The same entry with one more key.
pub(crate) fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

/// The gateway's report on its callbacks.
pub(crate) async fn report(gateway: &Gateway) -> Vec<Value> {
    let report = gateway.client().get("/callbacks").await.expect_status(200).json();
    report.as_array().expect("a list").clone()
}

/// The same entry with a fault policy.
pub(crate) fn with_policy(mut entry: Value, on_error: &str) -> Value {
    entry["on_error"] = json!(on_error);
    entry
}

/// The rejection of most cases: 418, code `teapot`, 7 s.
pub(crate) fn refusal(message: &str) -> Value {
    let (code, retry_after_ms) = ("teapot", 7000);
    json!({"reject": {"status": 418, "code": code, "message": message, "retry_after_ms": retry_after_ms}})
}

/// The hooks that recorders saw of a call, in order, as `<tag> <hook>`, without chunk hooks.
pub(crate) fn hooks(log: &Log, call: &str) -> Vec<String> {
    all_hooks(log, call).into_iter().filter(|hook| !hook.ends_with("on_llm_new_token")).collect()
}

/// The hooks that recorders saw of a call, with chunk hooks.
pub(crate) fn all_hooks(log: &Log, call: &str) -> Vec<String> {
    let lines = recorded(log, call);
    lines.iter().map(|line| format!("{} {}", seen(line, "label"), seen(line, "hook"))).collect()
}

/// The recorders' lines about a call.
pub(crate) fn recorded(log: &Log, call: &str) -> Vec<LogLine> {
    let lines = log.lines().into_iter();
    lines.filter(|line| line.message() == "hook" && seen(line, "call") == call).collect()
}

/// A field of a callback's own line, empty when absent.
pub(crate) fn seen(line: &LogLine, name: &str) -> String {
    line.field("callback.fields")[name].as_str().unwrap_or_default().to_owned()
}
