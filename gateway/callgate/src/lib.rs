//! Callgate: an LLM gateway that starts on a LiteLLM `config.yaml` and runs native callbacks.
//!
//! This package has the program, and the parts of it that tests use: `cli` and `boot` (from
//! arguments to a running server), `commands` (`callgate plugin …`, and `callgate demo` with a
//! scripted upstream). Everything else is in the packages beside it.

#![forbid(unsafe_code)]

pub mod boot;
pub mod cli;
pub mod commands;
