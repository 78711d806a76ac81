//! Loads a plugin in its probe process: the same steps as in `plugin`, one at a time; nothing is
//! kept.

use super::{
    instance::{Hooks, Instance, InstanceError},
    library::Library,
};
use crate::{inspect::Inspected, load_error::LoadError, snapshot::Snapshot};
use callgate_host::{CallbackHost, Counting, Permissions, Services};
use serde_json::Value;
use std::sync::Arc;

/// Why a probe ended early without a crash.
#[derive(Debug)]
pub(crate) enum ProbeLoadError {
    /// The plugin refused to create an instance.
    Declined,
    /// It is not a plugin for this gateway.
    Refused(LoadError),
}

impl<E: Into<LoadError>> From<E> for ProbeLoadError {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// A mapped plugin in its probe.
#[derive(Debug)]
pub(crate) struct ProbeLoad(&'static Library);

impl ProbeLoad {
    /// Maps it, and reports each step.
    pub(crate) fn load(
        inspected: &Inspected,
        snapshot: Snapshot,
        step: &mut dyn FnMut(&'static str),
    ) -> Result<Self, LoadError> {
        Ok(Self(Library::of(inspected, snapshot, step)?))
    }

    /// Creates an instance as the gateway would.
    pub(crate) fn create(
        &self,
        callback: &str,
        name: &Arc<str>,
        settings: &Value,
    ) -> Result<Instance, ProbeLoadError> {
        // It gets no secrets and no background work runs, because this is only a probe.
        let permissions = Arc::new(Permissions::of_a_probe());
        let services = Arc::new(Services::idle());
        let counts = Counting { callback, share: None };
        let host = CallbackHost::new(Arc::clone(name), counts, &permissions, &services);
        // Includes hooks missing from the manifest: `check` runs them in a process that must not
        // crash.
        let made = Instance::new(self.0, callback, settings, host, Hooks::All);
        made.map_err(|error| match error {
            InstanceError::Refused(_) => ProbeLoadError::Declined,
            InstanceError::NoHooks(_) => ProbeLoadError::Refused(error.into()),
        })
    }
}
