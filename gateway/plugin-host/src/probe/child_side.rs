//! What the child process does with a plugin: everything the gateway would do, once, saying each
//! step before it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{ProbeRequest, ProbeResult};
use crate::child::ChildSide;
use crate::inspect::{FileError, Inspected};
use crate::load_error::LoadError;
use crate::loader::{CREATE, Instance, ProbeLoad, ProbeLoadError};
use crate::snapshot::Snapshot;

/// Tries the plugin this process was handed. `run_hooks` runs the hooks of an instance on made-up
/// calls, saying each before it.
///
/// # Errors
/// When it was handed none: somebody else started it.
pub fn run(run_hooks: impl FnOnce(&mut ChildSide, &Instance)) -> io::Result<()> {
    let mut child = ChildSide::new()?;
    // Among what is captured, to be shown should it die.
    callgate_telemetry::start_in_child();
    let request: ProbeRequest = serde_json::from_slice(&child.request)?;
    let answer = match attempt(&mut child, &request, run_hooks) {
        Ok(()) => ProbeResult::Passed,
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
    run_hooks: impl FnOnce(&mut ChildSide, &Instance),
) -> Result<(), ProbeLoadError> {
    let file = Path::new(&request.file);
    let copy = child.input.try_clone().and_then(Snapshot::inherited);
    let (snapshot, bytes) = copy.map_err(|error| LoadError::from(FileError::Unreadable(error)))?;
    let inspected = Inspected::of_copy(file, bytes, request.sha256, &request.callback)?;
    let trial = ProbeLoad::load(&inspected, snapshot, &mut |step| child.step(step))?;
    child.step(CREATE);
    let instance = Arc::from(request.instance.as_str());
    let instance = trial.create(&request.callback, &instance, &request.settings)?;
    run_hooks(child, &instance);
    child.step("in its shutdown");
    instance.shutdown();
    child.step("in its destructor");
    drop(instance);
    Ok(())
}
