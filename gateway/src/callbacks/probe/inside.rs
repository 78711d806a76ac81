//! What the child process does with a plugin: everything the gateway would do, once, saying each
//! step before it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Request};
use crate::callbacks::hook::Hook;
use crate::callbacks::inspect::{FileError, Inspected};
use crate::callbacks::loader::{CREATE, Instance, Trial, TrialError};
use crate::callbacks::refusal::Refusal;
use crate::callbacks::{canned, snapshot::Snapshot};
use crate::child::Inside;
use crate::deployments::Deployments;
use crate::telemetry;

/// How long an async hook may wait; then it is dropped, as the gateway would drop it.
const WAIT: Duration = Duration::from_millis(200);

/// Tries the plugin this process was handed.
///
/// # Errors
/// When it was handed none: somebody else started it.
pub fn run() -> io::Result<()> {
    let mut inside = Inside::new()?;
    // Among what is captured, to be shown should it die.
    telemetry::start_in_child();
    let request: Request = serde_json::from_slice(&inside.request)?;
    let answer = match attempt(&mut inside, &request) {
        Ok(()) => Answer::Passed,
        Err(TrialError::Declined) => Answer::Declined,
        Err(TrialError::Refused(refusal)) => {
            Answer::Refused { text: refusal.to_string(), remedy: refusal.remedy() }
        }
    };
    inside.finish(&serde_json::to_string(&answer)?);
    Ok(())
}

fn attempt(inside: &mut Inside, request: &Request) -> Result<(), TrialError> {
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

/// A call that is answered and one that fails; nothing is expected of any hook but to come back.
fn run_hooks(inside: &mut Inside, instance: &Instance) {
    let deployments = Deployments::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    for story in [&[Hook::Start, Hook::NewToken, Hook::End][..], &[Hook::Start, Hook::Error]] {
        let Some(mut call) = canned::call("probe") else { return };
        for hook in story {
            inside.step(&format!("in {}", hook.name()));
            let hook = canned::run(instance, *hook, &mut call, &deployments);
            let _ = runtime.block_on(async { tokio::time::timeout(WAIT, hook).await });
        }
    }
}
