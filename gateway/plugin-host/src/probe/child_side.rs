//! The child's part of a probe: does once everything that the gateway would do with the plugin, and
//! reports each step in advance.

use super::{ProbeRequest, ProbeResult};
use crate::{
    child::ChildSide,
    inspect::{FileError, InspectError, Inspected},
    loader::{CREATE, Instance, ProbeLoad, ProbeLoadError},
    snapshot::Snapshot,
};
use std::{io, path::Path, sync::Arc};

/// A plugin whose hooks do not do what its manifest says, and the remedy.
#[derive(Debug)]
pub struct HookListError {
    pub text: String,
    pub remedy: &'static str,
}

/// Probes the plugin that the parent handed over. `run_hooks` runs all hooks of an instance on
/// made-up calls, reports each in advance, and compares them with the manifest's list.
///
/// # Errors
/// If the parent is not the gateway and handed over nothing.
pub fn run(
    run_hooks: impl FnOnce(&mut ChildSide, &Instance, &[String]) -> Result<(), HookListError>,
) -> io::Result<()> {
    let mut child = ChildSide::new()?;
    // Part of the captured output, to be shown if the child crashes.
    callgate_telemetry::start_in_child();
    let request: ProbeRequest = serde_json::from_slice(&child.request)?;
    let answer = match attempt(&mut child, &request, run_hooks) {
        Ok(Ok(())) => ProbeResult::Passed,
        Ok(Err(HookListError { text, remedy })) => {
            ProbeResult::Refused { text, remedy: remedy.to_owned() }
        }
        Err(ProbeLoadError::Declined) => ProbeResult::Declined,
        Err(ProbeLoadError::Refused(error)) => {
            ProbeResult::Refused { text: error.to_string(), remedy: error.remedy() }
        }
    };
    child.finish(&serde_json::to_string(&answer)?);
    Ok(())
}

fn attempt(
    child: &mut ChildSide,
    request: &ProbeRequest,
    run_hooks: impl FnOnce(&mut ChildSide, &Instance, &[String]) -> Result<(), HookListError>,
) -> Result<Result<(), HookListError>, ProbeLoadError> {
    let file = Path::new(&request.file);
    let copy = child.input.try_clone().and_then(Snapshot::inherited);
    let (snapshot, bytes) =
        copy.map_err(|error| InspectError::from(FileError::Unreadable(error)))?;
    let inspected = Inspected::of_copy(file, bytes, request.sha256, &request.callback)?;
    let trial = ProbeLoad::load(&inspected, snapshot, &mut |step| child.step(step))?;
    child.step(CREATE);
    let instance = Arc::from(request.instance.as_str());
    let instance = trial.create(&request.callback, &instance, &request.settings)?;
    let compared = run_hooks(child, &instance, &inspected.callback.hooks);
    child.step("in its shutdown");
    instance.shutdown();
    child.step("in its destructor");
    drop(instance);
    Ok(compared)
}
