//! Runs the hooks of a plugin in its probe process, on made-up calls. `probe` has the process
//! itself and all other steps.

use super::sample_call;
use callgate_deployments::Deployments;
use callgate_plugin_host::{Hook, Instance, child::ChildSide};
use std::{io, time::Duration};

/// The time an async hook may wait; then it is dropped, as the gateway would drop it.
const WAIT: Duration = Duration::from_millis(200);

/// Probes the plugin that the parent process handed over.
///
/// # Errors
/// If the parent is not the gateway and handed over nothing.
pub fn run_probe() -> io::Result<()> {
    callgate_plugin_host::run_probe(run_hooks)
}

/// Runs a call with a reply and one with a failure; hooks only have to return.
fn run_hooks(child: &mut ChildSide, instance: &Instance) {
    let deployments = Deployments::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return };
    for story in [&[Hook::Start, Hook::NewToken, Hook::End][..], &[Hook::Start, Hook::Error]] {
        let Some(mut call) = sample_call::call("probe") else { return };
        for hook in story {
            child.step(&format!("in {}", hook.name()));
            let hook = sample_call::run(instance, *hook, &mut call, &deployments);
            let _ = runtime.block_on(async { tokio::time::timeout(WAIT, hook).await });
        }
    }
}
