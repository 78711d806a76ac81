//! The steps that execute the plugin, and the messages between the two processes.

use plugin_api::testing::conformance;
use serde::{Deserialize, Serialize};

pub(super) const LOAD: &str = "load";
pub(super) const CREATE: &str = "make an instance";
pub(super) const HOOKS: &str = "hooks as listed";
pub(super) const EXIT: &str = "process ends in order";

/// A message from the child, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CheckNote {
    Began(String),
    Ended {
        step: String,
        failure: Option<String>,
    },
    /// No more steps will run.
    Done,
}

/// The steps that execute the plugin, in order; the last one is the child's own exit.
pub(super) fn executed() -> impl Iterator<Item = &'static str> {
    [LOAD, CREATE, HOOKS].into_iter().chain(conformance::steps()).chain([EXIT])
}
