//! The `langsmith` callback traces calls to LangSmith, as LiteLLM's built-in of that name does.
//!
//! ```yaml
//! litellm_settings:
//!   callbacks: [langsmith]
//! ```
//!
//! Everything else comes from the environment or `.env`:
//!
//! | variable | default |
//! |---|---|
//! | `LANGSMITH_API_KEY` | none: nothing is traced, and a warning says so |
//! | `LANGSMITH_PROJECT` | `litellm-completion` |
//! | `LANGSMITH_BASE_URL` | `https://api.smith.langchain.com` |
//! | `LANGSMITH_TENANT_ID` | none |
//! | `LANGSMITH_DEFAULT_RUN_NAME` | `LLMRun` |
//! | `LANGSMITH_BATCH_SIZE` | 512 |
//! | `LANGSMITH_SAMPLING_RATE` | 1: every call |
//!
//! `callback_settings.langsmith` may set `project`, `default_run_name`, `batch_size`,
//! `flush_interval_ms` (5000) and `sampling_rate`. These win over the variables.
//!
//! A hook copies the data it needs and queues it. A task builds the runs and sends them in batches:
//! when a batch is full, after the interval, and at shutdown. No call waits for this or fails
//! because of it. A batch that cannot be sent is tried again with growing pauses, then dropped. The
//! queue is bounded. Dropped runs are counted in `callgate_plugin_langsmith_runs_dropped_total`.
//! **A run holds the prompt and the answer**, but no keys and no headers.
//!
//! `settings` reads the settings, `captured_call` is the data that a hook copies, `run` builds its
//! JSON, `ids` places a run in a trace, `queue` holds waiting runs, and `exporter` is the task that
//! sends them.

mod captured_call;
mod exporter;
mod ids;
mod queue;
mod run;
mod settings;
#[cfg(test)]
mod tests;

use captured_call::CapturedCall;
use exporter::Exporter;
use plugin_api::{
    CallView, Callback, Flow, Hook, Host, InitError, LlmCall, LlmFailure, LlmReply,
    export_callbacks,
};
pub use settings::Settings;
use std::sync::Arc;

/// The maximum length of a client's `metadata`, in bytes. Longer metadata is left out.
const MAX_METADATA: usize = 64 * 1024;

/// One instance of the callback.
#[derive(Debug)]
pub struct Langsmith {
    host: Host,
    exporter: Arc<Exporter>,
    sampling_rate: f64,
}

impl Callback for Langsmith {
    type Settings = Settings;

    fn new(host: Host, settings: Settings) -> Result<Self, InitError> {
        let plan = settings.plan(&host);
        let sampling_rate = plan.sampling_rate;
        let exporter = Arc::new(Exporter::new(host, plan).map_err(InitError::new)?);
        Ok(Self { host, exporter, sampling_rate })
    }

    /// Keeps the client's `metadata`, which the body may no longer have when the call ends.
    fn on_llm_start(&self, call: &mut LlmCall<'_>) -> Hook {
        let metadata = call.param("metadata").filter(|json| json.len() <= MAX_METADATA);
        if let Some(metadata) = metadata.map(str::to_owned)
            && self.exporter.can_send()
        {
            call.set_local(metadata.as_bytes())?;
        }
        Ok(Flow::Continue)
    }

    fn on_llm_end(&self, call: &mut CallView<'_>, reply: &mut LlmReply<'_>) -> Hook {
        if self.wants() {
            self.exporter.keep(CapturedCall::of_reply(call, reply, self.now_ms()));
        }
        Ok(Flow::Continue)
    }

    fn on_llm_error(&self, call: &mut CallView<'_>, failure: &mut LlmFailure<'_>) -> Hook {
        if self.wants() {
            self.exporter.keep(CapturedCall::of_failure(call, failure, self.now_ms()));
        }
        Ok(Flow::Continue)
    }

    fn shutdown(&self) {
        self.exporter.close();
    }
}

impl Langsmith {
    fn wants(&self) -> bool {
        if !self.exporter.can_send() {
            self.exporter.count_untraced();
            return false;
        }
        self.sampling_rate >= 1.0 || fastrand::f64() < self.sampling_rate
    }

    fn now_ms(&self) -> u64 {
        self.host.clock().map_or(0, |clock| clock.unix_ms())
    }
}

export_callbacks! {
    Langsmith {
        name: "langsmith",
        kind: sync,
        hooks: [on_llm_start, on_llm_end, on_llm_error],
        reads: ["model", "route", "messages", "params", "reply", "error"],
        writes: [],
        needs: {
            secrets: [
                "LANGSMITH_API_KEY",
                "LANGSMITH_PROJECT",
                "LANGSMITH_BASE_URL",
                "LANGSMITH_TENANT_ID",
                "LANGSMITH_DEFAULT_RUN_NAME",
                "LANGSMITH_BATCH_SIZE",
                "LANGSMITH_SAMPLING_RATE",
            ],
            http_hosts: ["LANGSMITH_BASE_URL=https://api.smith.langchain.com"],
        },
        settings_schema: include_str!("../settings.schema.json"),
    }
}
