//! The `audit_log` callback writes a line of JSON to a file for every call, when the call ends.
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
//!   error code, tokens, durations, and the number of messages and characters in the prompt. With
//!   `content: true` it also has the prompt and the reply, unless they make it longer than 34 MiB.
//!   Control characters are escaped.
//! - Calls that an earlier callback refuses are not logged: list `audit_log` first to log all
//!   calls. A JSON reply is logged with the changes of the callbacks before this one.
//! - A relative `path` is relative to the gateway's working directory. The first line creates the
//!   file, with mode 0600. Lines are appended whole: if a full disk takes only half a line, that
//!   half is cut off again. Several gateways may write to one file.
//! - If the file is renamed, deleted or replaced (`logrotate`), it is opened again within a second;
//!   until then lines go to the old file. `max_bytes` rotates the file itself, to `PATH.1` up to
//!   `PATH.keep`. Use one of the two, and one file for each entry.
//!
//! No hook waits for the disk: lines go through a queue to the callback's own thread. A line is
//! dropped if the queue is full. A line that cannot be written (a full disk, a missing folder) is
//! lost, and calls continue. Under `on_loss: refuse` it is kept and tried again each second, and
//! new calls get a 503 meanwhile, or while the queue is full. Each lost line is counted once in the
//! metric `lines_lost_total`; the gateway's log reports losses at most once a minute. If the file
//! cannot be opened or created, the start is refused. Waiting lines are written at shutdown.
//!
//! `line` formats a line, `queue` passes it to the thread, `writer` is that thread, `file` is the
//! file, and `losses` counts lost lines.

mod file;
mod line;
mod losses;
mod queue;
#[cfg(test)]
mod tests;
mod time;
mod waiting;
mod writer;

use line::{Ending, Line};
use plugin_api::{
    CallView, Callback, Clock, Flow, Hook, Host, InitError, LlmCall, LlmFailure, LlmReply,
    Rejection,
};
use queue::{LONGEST_LINE, Queue};
use serde::Deserialize;
use std::{path::PathBuf, time::Duration};

/// The settings as written in the config. The crate's documentation explains them.
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

/// What happens to calls while lines cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnLoss {
    /// They continue without a line.
    #[default]
    Continue,
    /// New calls are refused.
    Refuse,
}

fn default_keep() -> u32 {
    5
}

fn default_queue() -> usize {
    8192
}

/// One instance of the callback.
#[derive(Debug)]
pub struct AuditLog {
    clock: Clock,
    content: bool,
    on_loss: OnLoss,
    queue: Queue,
    /// Set in a trial: its sample calls do not belong in the file.
    on_trial: bool,
}

impl Callback for AuditLog {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let clock = host.clock().ok_or_else(|| {
            InitError::new("expected a gateway with a clock, found none; update the gateway")
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
            self.queue.push(line.fitting(LONGEST_LINE));
        }
        Ok(Flow::Continue)
    }
}

impl Settings {
    /// Repeats the checks of the schema, for instances that are made without it.
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
