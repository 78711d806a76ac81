//! The harness of the end-to-end tests: starts the real binary on a free port, sends HTTP to it,
//! reads its log, and gives it a scripted upstream. It knows no features; the cases do.
//!
//! Reading order: `build` (finds the binary and the plugins), `config` (configurations), `gateway`
//! (the running process), `tool` (the binary as a tool), `log`, `client`, `sse`, `raw`, `tls`,
//! `proxy`.

#![expect(clippy::expect_used, clippy::panic, reason = "a harness fails a test by panicking")]

pub mod build;
pub mod client;
pub mod config;
pub mod deadline;
pub mod endpoint;
pub mod gateway;
pub mod log;
pub mod proxy;
pub mod raw;
pub mod sse;
pub mod tls;
pub mod tool;

pub use callgate_scripted_upstream::{Answer, Gate, Received, Script, ScriptedUpstream, ToolCall};
pub use client::{Client, Reply};
pub use config::{MASTER_KEY, UPSTREAM_KEY};
pub use deadline::within;
pub use endpoint::{Endpoint, Taken};
pub use gateway::Gateway;
pub use raw::Raw;
pub use sse::Event;

/// A scripted upstream that answers every chat request with `answer`.
pub async fn upstream(answer: Answer) -> ScriptedUpstream {
    scripted(Script::always(answer)).await
}

/// A scripted upstream with this script.
pub async fn scripted(script: Script) -> ScriptedUpstream {
    ScriptedUpstream::start(script).await.expect("the scripted upstream starts")
}
