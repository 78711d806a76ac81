//! The `audit_log` callback: a line of JSON in a file for every call, when it ends.
//!
//! ```yaml
//! litellm_settings:
//!   callbacks: [audit_log, routing, rate_limit]
//! callback_settings:
//!   audit_log:
//!     path: /var/log/callgate/audit.jsonl
//!     max_bytes: 104857600
//! ```
//!
//! - A line has the time, the call's id, the key's id, the model names, the provider, status and
//!   error code, tokens, durations, how many messages and characters the prompt had; with
//!   `content: true` also the prompt and the reply. Control characters are escaped.
//! - A call that an earlier callback refuses never gets here: list `audit_log` first to see all
//!   calls. A JSON reply is written as the callbacks before this one left it.
//! - A relative `path` is relative to the gateway's working directory. The file is made at the
//!   first line, with mode 0600, and only ever appended to, a whole line at a time: a half line
//!   that a full disk took is cut off again. Several gateways may write to one file.
//! - A file that was renamed, deleted or replaced (`logrotate`) is opened anew, at most a second
//!   later; lines of that second go to the old one. `max_bytes` rotates here, to `PATH.1` up to
//!   `PATH.keep`; use one of both, and one file for one entry.
//!
//! No hook waits for the disk: lines go through a queue to a thread of this callback's own. What
//! finds the queue full is dropped. What cannot be written (a full disk, a folder that is gone) is
//! lost, and calls go on. Under `on_loss: refuse` it is kept instead and tried again each second,
//! and calls that begin meanwhile, or while the queue is full, are refused with 503. Each line that
//! is in no file is counted once: in the metric `lines_lost_total`, and in the gateway's log at
//! most once a minute. A file that cannot be opened or made refuses the start. Waiting lines are
//! written at shutdown.
//!
//! `line` makes a line, `queue` brings it to the thread, `writer` is that thread, `file` what it
//! writes to, `losses` counts.

mod file;
mod line;
mod losses;
mod queue;
#[cfg(test)]
mod tests;
mod time;
mod writer;

use line::{Ending, Line};
use plugin_api::{
    CallView, Callback, Clock, Flow, Hook, Host, InitError, LlmCall, LlmFailure, LlmReply,
    Rejection,
};
use queue::{MOST_BYTES, Queue};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// As written in the config; see the crate's documentation.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    path: PathBuf,
    #[serde(default)]
    content: bool,
    max_bytes: Option<u64>,
    #[serde(default = "default_keep")]
    keep: u32,
    #[serde(default = "default_queue")]
    queue: usize,
    #[serde(default)]
    on_loss: OnLoss,
}

/// What becomes of calls whose lines cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnLoss {
    /// They go on without a line.
    #[default]
    Continue,
    /// No call begins that could not be written down.
    Refuse,
}

fn default_keep() -> u32 {
    5
}

fn default_queue() -> usize {
    8192
}

/// The way to the file.
#[derive(Debug)]
pub struct AuditLog {
    clock: Clock,
    content: bool,
    on_loss: OnLoss,
    queue: Queue,
    /// Made-up calls of a trial do not belong into the file.
    on_trial: bool,
}

impl Callback for AuditLog {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let clock = host.clock().ok_or_else(|| {
            InitError::new("expected a gateway that lends a clock, this one does not; update it")
        })?;
        settings.check().map_err(InitError)?;
        let Settings { content, on_loss, .. } = settings;
        let file = file::LogFile::new(&settings.path, settings.max_bytes, settings.keep)
            .map_err(|error| InitError(format!("path: {error}")))?;
        let queue = Queue::start(host, file, settings.queue, on_loss == OnLoss::Refuse)?;
        Ok(Self { clock, content, on_loss, queue, on_trial: plugin_api::is_probe() })
    }

    fn on_llm_start(&self, _: &mut LlmCall<'_>) -> Hook {
        if self.on_loss == OnLoss::Refuse && self.queue.is_failing() {
            let text = "this call cannot be written to the audit log now; retry later";
            let refusal = Rejection::new(503, text).code("audit_log_unavailable");
            return Err(refusal.retry_after(Duration::from_secs(1)).into());
        }
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        self.note(call, Ending::Reply(reply))
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        self.note(call, Ending::Failure(failure))
    }

    fn shutdown(&self) {
        self.queue.flush();
    }
}

impl AuditLog {
    fn note(&self, call: &CallView<'_>, ending: Ending<'_, '_>) -> Hook {
        if !self.on_trial {
            let line = Line::of(call, ending, self.clock, self.content);
            self.queue.push(line.bytes(MOST_BYTES));
        }
        Ok(Flow::Continue)
    }
}

impl Settings {
    /// What the schema says too, for whoever makes an instance without it.
    fn check(&self) -> Result<(), String> {
        let range = |name: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(format!("expected `{name}` from {least} to {most}, found {value}"))
        };
        range("max_bytes", self.max_bytes.unwrap_or(u64::MAX), 4096, u64::MAX)?;
        range("keep", self.keep.into(), 1, 100)?;
        range("queue", u64::try_from(self.queue).unwrap_or(u64::MAX), 1, 1_000_000)
    }
}

plugin_api::export_callbacks! {
    AuditLog {
        name: "audit_log",
        kind: sync,
        hooks: [on_llm_start, on_llm_end, on_llm_error],
        reads: ["messages", "reply", "error"],
        writes: [],
        settings_schema: include_str!("../settings.schema.json"),
        sample_settings: r#"{"path": "/dev/null"}"#,
    }
}
