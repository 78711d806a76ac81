//! Callgate: an LLM gateway that starts on a LiteLLM `config.yaml` and runs native callbacks.
//!
//! In reading order: `cli` and `boot` (from arguments to a running server), `config` (the YAML as
//! written, checked), `deployments` (model name → upstream), `app` (all of it, immutable),
//! `server` (the HTTP surface; `server::chat` tells the life of a call), `call` (one request in
//! flight), `callbacks` and `host` (plugins, and what is lent to them), `json` (bytes scanned and
//! spliced), `provider` (dialects), `stream` (framing), `coding` (what came compressed),
//! `upstream` (the network), `failure` (what clients are told), `secret` and `credentials` (what
//! nobody is shown), `telemetry` (logs), `descriptors` (open files), `regular_file` (files that
//! people name), `counted` (counts in sentences), `memory` (the allocator), `offload` (large
//! bodies beside the workers), `child` (work in a child process), `metrics` (counts for
//! Prometheus), `demo` (the walkthrough with a scripted upstream), `workbench` (`callgate plugin
//! …`).

pub mod boot;
pub mod call;
pub mod callbacks;
pub mod cli;
pub mod coding;
pub mod config;
pub mod demo;
pub mod deployments;
pub mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod host;
pub mod json;
pub mod plugin_host;
pub mod providers;
pub mod scripted_upstream;
pub mod secret;
pub mod server;
pub mod telemetry;
pub mod upstream;
pub mod workbench;
