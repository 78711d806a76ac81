//! The callbacks that an operator lists, run in list order.
//!
//! Reading order: `chain` (runs hooks) with `call_handle` and `payload` (what a hook sees),
//! `chunk_queue` (the chunks of a stream that wait for hooks),
//! `dry_run` (a call without a server). `probe_hooks` runs the hooks of a plugin in its probe,
//! `manifest_check` compares a manifest with the code, `setting_names` compares settings with the
//! config, `offload` handles large bodies. `plugin_host` finds and loads plugins.

#![forbid(unsafe_code)]

mod auth_request;
mod call_handle;
mod call_state;
mod chain;
mod changes;
mod chunk_queue;
mod dry_run;
mod manifest_check;
mod model_list;
pub mod offload;
mod payload;
mod probe_hooks;
mod record;
mod replay;
mod reply_stream;
mod sample_call;
mod setting_names;

pub use auth_request::AuthSource;
pub use chain::{
    AuthQuestion, BreakerState, CallbackReport, Callbacks, Chain, DuringHooks, HookReport,
    LastFault, LiveReport, NotRunning, Started, Status, ThreadsReport,
};
pub use changes::{Change, changes};
pub use chunk_queue::{ChunkQueue, NextChunk};
pub use dry_run::{AssumedReply, DryRun, DryRunCall, DryRunError, DryRunOutcome, PreparedHook};
pub use manifest_check::mismatches;
pub use payload::{
    CallStats, ChunkPayload, EndPayload, ErrorPayload, StreamedText, is_answer, is_completion,
};
pub use probe_hooks::run_probe;
pub use record::RecordReport;
pub use replay::{Difference, RecordError, RecordedCall, Replay, ReplayServices, Replayed};
pub use reply_stream::{CallbackReply, ReplyStreamReader};
pub use setting_names::unknown_names;
