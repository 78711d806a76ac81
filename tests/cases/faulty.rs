//! The callbacks of the `faulty` plugin as entries of the `callbacks` list, and what the recorder
//! among them writes to the log. What each action does is documented in `tests/plugins/faulty`.

use callgate_tests::log::{Log, LogLine};
use callgate_tests::{Gateway, build};
use serde_json::{Value, json};

/// An entry that acts: `acts` has a list of actions per hook.
pub(crate) fn faulty(tag: &str, acts: Value) -> Value {
    entry("faulty", tag, acts)
}

/// The same with hooks that are futures.
pub(crate) fn faulty_async(tag: &str, acts: Value) -> Value {
    entry("faulty_async", tag, acts)
}

/// An entry that changes nothing and writes a line per hook.
pub(crate) fn recorder(tag: &str) -> Value {
    entry("recorder", tag, json!({}))
}

/// One callback of the `faulty` plugin, whichever it is. It is never left alone for its faults.
pub(crate) fn entry(name: &str, tag: &str, mut settings: Value) -> Value {
    settings["label"] = json!(tag);
    json!({
        "name": name, "path": build::plugin("faulty"), "instance": tag, "settings": settings,
        "breaker": false,
    })
}

/// `faulty` on threads of its own.
pub(crate) fn faulty_blocking(tag: &str, acts: Value) -> Value {
    with(entry("faulty", tag, acts), "mode", json!("blocking"))
}

/// The same with one more key.
pub(crate) fn with(mut entry: Value, key: &str, value: Value) -> Value {
    entry[key] = value;
    entry
}

/// What the gateway reports of its callbacks.
pub(crate) async fn report(gateway: &Gateway) -> Vec<Value> {
    let report = gateway.client().get("/callbacks").await.expect_status(200).json();
    report.as_array().expect("a list").clone()
}

/// The same with a fault policy.
pub(crate) fn with_policy(mut entry: Value, on_error: &str) -> Value {
    entry["on_error"] = json!(on_error);
    entry
}

/// The refusal most cases use: 418, code `teapot`, 7 s.
pub(crate) fn refusal(message: &str) -> Value {
    let (code, retry_after_ms) = ("teapot", 7000);
    json!({"reject": {"status": 418, "code": code, "message": message, "retry_after_ms": retry_after_ms}})
}

/// The hooks recorders saw of a call, in order, as `<tag> <hook>`; chunk hooks are left out.
pub(crate) fn hooks(log: &Log, call: &str) -> Vec<String> {
    all_hooks(log, call).into_iter().filter(|hook| !hook.ends_with("on_llm_new_token")).collect()
}

/// The hooks recorders saw of a call, chunk hooks included.
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
