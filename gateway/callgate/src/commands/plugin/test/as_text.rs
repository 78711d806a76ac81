//! The outcome of a dry run for people.

use super::{
    difference::shown,
    http_rules::Requested,
    tested::{Changed, Tested},
};
use callgate_callbacks::Change;
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn as_text(tested: &Tested) -> String {
    let mut text = String::new();
    for Changed { callback, changes } in &tested.callbacks {
        let _ = writeln!(text, "{callback}");
        write_changes(changes, &mut text);
    }
    write_verdict(tested, &mut text);
    let outcome = &tested.outcome;
    if outcome.reply.is_some() || outcome.chunks.is_some() {
        text.push_str(if outcome.reply.is_some() { "reply\n" } else { "chunks\n" });
        write_changes(&tested.answer_changes, &mut text);
        for (name, value) in &outcome.reply_headers {
            let _ = writeln!(text, "  + header {name}: {value}");
        }
    }
    let http: Vec<_> = tested.http.iter().flatten().map(Requested::line).collect();
    for (title, lines) in [("log", &tested.log), ("http", &http)] {
        if !lines.is_empty() {
            let _ = writeln!(text, "{title}\n  {}", lines.join("\n  "));
        }
    }
    for unused in &tested.http_unused {
        let _ = writeln!(text, "unused {unused}");
    }
    for Change { path, before, after } in tested.unmet.iter().flatten() {
        let (expected, found) = (shown(before.as_ref()), shown(after.as_ref()));
        let _ = writeln!(text, "not as expected: {path}: expected {expected}, found {found}");
    }
    text
}

fn write_verdict(tested: &Tested, text: &mut String) {
    let outcome = &tested.outcome;
    let by = outcome.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let _ = writeln!(text, "verdict: {}{by}", outcome.verdict);
    if outcome.own_stream {
        let how = if outcome.reply.is_some() || outcome.chunks.is_some() {
            "`--reply` stands for what its task would write"
        } else {
            "its task does not run here, so give what it would write with `--reply`"
        };
        let _ = writeln!(text, "  a stream of its own: {how}");
    }
    if let Some(error) = &outcome.error {
        let message = error.error.get("message").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(text, "  status {}: {}", error.status, message);
        let wait = error.retry_after.iter().map(|wait| format!("retry after {wait} s"));
        let cause = error.cause.iter().map(|cause| format!("cause: {cause}"));
        wait.chain(cause).for_each(|line| text.push_str(&format!("  {line}\n")));
    }
}

pub(super) fn write_changes(changes: &[Change], text: &mut String) {
    if changes.is_empty() {
        text.push_str("  no change\n");
    }
    let width = changes.iter().map(|change| change.path.chars().count()).max().unwrap_or_default();
    for Change { path, before, after } in changes {
        let _ = match (before, after) {
            (None, after) => writeln!(text, "  + {path:<width$}  {}", shown(after.as_ref())),
            (before, None) => writeln!(text, "  - {path:<width$}  {}", shown(before.as_ref())),
            (before, after) => {
                let (before, after) = (shown(before.as_ref()), shown(after.as_ref()));
                writeln!(text, "  ~ {path:<width$}  {before} → {after}")
            }
        };
    }
}
