//! What the child process does with a plugin: everything the gateway would do, once, saying each
//! step before it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Answer, Request};
use crate::child::Inside;
use crate::inspect::{FileError, Inspected};
use crate::loader::{CREATE, Instance, Trial, TrialError};
use crate::refusal::Refusal;
use crate::snapshot::Snapshot;

/// Tries the plugin this process was handed. `run_hooks` runs the hooks of an instance on made-up
/// calls, saying each before it.
///
/// # Errors
/// When it was handed none: somebody else started it.
pub fn run(run_hooks: impl FnOnce(&mut Inside, &Instance)) -> io::Result<()> {
    let mut inside = Inside::new()?;
    // Among what is captured, to be shown should it die.
    callgate_telemetry::start_in_child();
    let request: Request = serde_json::from_slice(&inside.request)?;
    let answer = match attempt(&mut inside, &request, run_hooks) {
        Ok(()) => Answer::Passed,
        Err(TrialError::Declined) => Answer::Declined,
        Err(TrialError::Refused(refusal)) => {
            Answer::Refused { text: refusal.to_string(), remedy: refusal.remedy() }
        }
    };
    inside.finish(&serde_json::to_string(&answer)?);
    Ok(())
}

fn attempt(
    inside: &mut Inside,
    request: &Request,
    run_hooks: impl FnOnce(&mut Inside, &Instance),
) -> Result<(), TrialError> {
    let file = Path::new(&request.file);
    let copy = inside.input.try_clone().and_then(Snapshot::inherited);
    let (snapshot, bytes) = copy.map_err(|error| Refusal::from(FileError::Unreadable(error)))?;
    let inspected = Inspected::of_copy(file, bytes, request.sha256, &request.callback)?;
    let trial = Trial::load(&inspected, snapshot, &mut |step| inside.step(step))?;
    inside.step(CREATE);
    let instance = Arc::from(request.instance.as_str());
    let instance = trial.create(&request.callback, &instance, &request.settings)?;
    run_hooks(inside, &instance);
    inside.step("in its shutdown");
    instance.shutdown();
    inside.step("in its destructor");
    drop(instance);
    Ok(())
}
