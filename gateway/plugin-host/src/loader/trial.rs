//! A plugin in the process that only tries it out: the same steps as `plugin`'s, one at a time, and
//! nothing kept.

use std::sync::Arc;

use serde_json::Value;

use super::instance::{Hooks, Instance, InstanceError};
use super::library::Library;
use crate::inspect::Inspected;
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;
use callgate_host::{CallbackHost, Counting, Services};

/// Making an instance, as it follows "it crashed".
pub(crate) const CREATE: &str = "in its constructor";

/// Why a trial ended early, in good order.
#[derive(Debug)]
pub(crate) enum TrialError {
    /// The plugin refused to make an instance.
    Declined,
    /// It is no plugin for this gateway.
    Refused(Refusal),
}

impl From<Refusal> for TrialError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A mapped plugin that is tried.
#[derive(Debug)]
pub(crate) struct Trial(&'static Library);

impl Trial {
    /// Maps it, saying each step.
    pub(crate) fn load(
        inspected: &Inspected,
        snapshot: Snapshot,
        step: &mut dyn FnMut(&'static str),
    ) -> Result<Self, Refusal> {
        Ok(Self(Library::of(inspected, snapshot, step)?))
    }

    /// Makes an instance as the gateway would.
    pub(crate) fn create(
        &self,
        callback: &str,
        name: &Arc<str>,
        settings: &Value,
    ) -> Result<Instance, TrialError> {
        // It may have nothing here, and nothing it does goes on: a trial only looks.
        let (permissions, services) = (Arc::default(), Arc::new(Services::idle()));
        let counts = Counting { callback, share: None };
        let host = CallbackHost::new(Arc::clone(name), counts, &permissions, &services);
        // Also what the manifest leaves out: `check` runs it, in a process that has to live.
        let made = Instance::new(self.0, callback, settings, host, Hooks::All);
        made.map_err(|error| match error {
            InstanceError::Refused(_) => TrialError::Declined,
            InstanceError::NoHooks(_) => TrialError::Refused(error.into()),
        })
    }
}
