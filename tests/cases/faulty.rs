//! What the cases know of the `faulty` plugin: its settings, and what it writes to the log. Every
//! hook it runs is one line `<tag> <hook> <call id>` before it does what its settings say.
//!
//! Settings: `tag`, and per hook (`on_llm_start`, `on_llm_new_token`, `on_llm_end`,
//! `on_llm_error`, and `new` for the constructor) one act: `panic`, `fault` (an internal error),
//! `reject` (418, code `teapot`, message `refused by <tag>`, 7 s), `reply` (its own answer
//! `reply from <tag>`), `append` (a user message with the tag's text), `upper` (the chunk's text in
//! capitals), `drop` (the chunk), `header` (`x-seen-by: <tag>` on the reply), `soften` (the failure
//! becomes 503, message `softened by <tag>`).

use callgate_tests::log::Log;
use serde_json::{Value, json};

/// One entry of the `callbacks` list that does what `acts` say.
pub(crate) fn faulty(tag: &str, acts: Value) -> Value {
    let mut settings = acts;
    settings["tag"] = json!(tag);
    json!({"name": "faulty", "instance": tag, "settings": settings})
}

/// The same with a fault policy.
pub(crate) fn with_policy(mut entry: Value, on_error: &str) -> Value {
    entry["on_error"] = json!(on_error);
    entry
}

/// The hooks that ran for a call, in order, as `<tag> <hook>`; chunk hooks are left out.
pub(crate) fn hooks(log: &Log, call: &str) -> Vec<String> {
    all_hooks(log, call).into_iter().filter(|hook| !hook.ends_with("on_llm_new_token")).collect()
}

/// The hooks that ran for a call, chunk hooks included.
pub(crate) fn all_hooks(log: &Log, call: &str) -> Vec<String> {
    let lines = log.lines();
    let ran = lines.iter().filter_map(|line| line.message().strip_suffix(&format!(" {call}")));
    ran.filter(|text| text.contains(" on_llm_")).map(str::to_owned).collect()
}
