//! The hooks of a plugin that is tried in a child process, run on made-up calls.
//! Not here: the child itself and all steps before and after (`probe`).

use super::sample_call;
use callgate_deployments::Deployments;
use callgate_plugin_host::child::ChildSide;
use callgate_plugin_host::{Hook, Instance};
use std::{io, time::Duration};

/// How long an async hook may wait; then it is dropped, as the gateway would drop it.
const WAIT: Duration = Duration::from_millis(200);

/// Tries the plugin this process was handed.
///
/// # Errors
/// When it was handed none: somebody else started it.
pub fn run_probe() -> io::Result<()> {
    callgate_plugin_host::run_probe(run_hooks)
}

/// A call that is answered and one that fails; nothing is expected of any hook but to come back.
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
