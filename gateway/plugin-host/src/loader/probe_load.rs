//! A plugin in the process that only tries it out: the same steps as `plugin`'s, one at a time, and
//! nothing kept.

use std::sync::Arc;

use serde_json::Value;

use super::instance::{Hooks, Instance, InstanceError};
use super::library::Library;
use crate::inspect::Inspected;
use crate::load_error::LoadError;
use crate::snapshot::Snapshot;
use callgate_host::{CallbackHost, Counting, Services};

/// Making an instance, as it follows "it crashed".
pub(crate) const CREATE: &str = "in its constructor";

/// Why a trial ended early, in good order.
#[derive(Debug)]
pub(crate) enum ProbeLoadError {
    /// The plugin refused to make an instance.
    Declined,
    /// It is no plugin for this gateway.
    Refused(LoadError),
}

impl From<LoadError> for ProbeLoadError {
    fn from(error: LoadError) -> Self {
        Self::Refused(error)
    }
}

/// A mapped plugin that is tried.
#[derive(Debug)]
pub(crate) struct ProbeLoad(&'static Library);

impl ProbeLoad {
    /// Maps it, saying each step.
    pub(crate) fn load(
        inspected: &Inspected,
        snapshot: Snapshot,
        step: &mut dyn FnMut(&'static str),
    ) -> Result<Self, LoadError> {
        Ok(Self(Library::of(inspected, snapshot, step)?))
    }

    /// Makes an instance as the gateway would.
    pub(crate) fn create(
        &self,
        callback: &str,
        name: &Arc<str>,
        settings: &Value,
    ) -> Result<Instance, ProbeLoadError> {
        // It may have nothing here, and nothing it does goes on: a trial only looks.
        let (permissions, services) = (Arc::default(), Arc::new(Services::idle()));
        let counts = Counting { callback, share: None };
        let host = CallbackHost::new(Arc::clone(name), counts, &permissions, &services);
        // Also what the manifest leaves out: `check` runs it, in a process that has to live.
        let made = Instance::new(self.0, callback, settings, host, Hooks::All);
        made.map_err(|error| match error {
            InstanceError::Refused(_) => ProbeLoadError::Declined,
            InstanceError::NoHooks(_) => ProbeLoadError::Refused(error.into()),
        })
    }
}
