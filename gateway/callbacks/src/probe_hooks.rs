//! Runs the hooks of a plugin in its probe process, on made-up calls. `probe` has the process
//! itself and all other steps.

use super::{manifest_check::disagreement, sample_call};
use callgate_deployments::Deployments;
use callgate_plugin_host::{Hook, HookListError, Instance, child::ChildSide};
use plugin_api::abi::Verdict;
use std::{io, time::Duration};

/// The time an async hook may wait; then it is dropped, as the gateway would drop it.
const WAIT: Duration = Duration::from_millis(200);

/// A call with a reply, and one with a failure.
const STORIES: [&[Hook]; 2] = [
    &[Hook::Auth, Hook::ListModels, Hook::Start, Hook::During, Hook::NewToken, Hook::End],
    &[Hook::Start, Hook::Error],
];

/// Probes the plugin that the parent process handed over.
///
/// # Errors
/// If the parent is not the gateway and handed over nothing.
pub fn run_probe() -> io::Result<()> {
    callgate_plugin_host::run_probe(run_hooks)
}

/// Runs a call with a reply and one with a failure. A hook only has to return, but the manifest has
/// to list exactly those that the code implements: one that is left out would never run, and may
/// have been meant to protect.
fn run_hooks(
    child: &mut ChildSide,
    instance: &Instance,
    listed: &[String],
) -> Result<(), HookListError> {
    let deployments = Deployments::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Ok(()) };
    let mut wrong = Vec::new();
    for story in STORIES {
        let Some(mut call) = sample_call::call("probe") else { return Ok(()) };
        for hook in story {
            child.step(&format!("in {}", hook.name()));
            let running = sample_call::run(instance, *hook, &mut call, &deployments);
            let ended = runtime.block_on(async { tokio::time::timeout(WAIT, running).await });
            // The default body is ready at once, so one that waits is the author's.
            let implemented = ended != Ok(Verdict::NOT_IMPLEMENTED);
            wrong.extend(disagreement(*hook, listed, implemented).filter(|it| !wrong.contains(it)));
        }
    }
    let Some((_, remedy)) = wrong.first() else { return Ok(()) };
    let texts: Vec<_> = wrong.iter().map(|(text, _)| &**text).collect();
    Err(HookListError { text: texts.join("; "), remedy })
}
