//! Callgate: an LLM gateway that starts on a LiteLLM `config.yaml` and runs native callbacks.
//!
//! The program, and what its tests need of it: `cli` and `boot` (from arguments to a running
//! server), `commands` (`callgate plugin …`, and `callgate demo` with a scripted upstream).
//! Everything else is a package of its own beside this one.

#![forbid(unsafe_code)]

pub mod boot;
pub mod cli;
pub mod commands;
