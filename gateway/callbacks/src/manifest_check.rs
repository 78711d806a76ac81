//! Compares a manifest's list of hooks with the code: a listed hook that does nothing costs every
//! call, and one that is not listed never runs. Both look like a working callback.
//!
//! It has to run the hooks on a made-up call. So a start compares them only in the process that
//! probes the plugin, and `check` also those of plugins that need no probe.

use super::sample_call;
use callgate_config::Problem;
use callgate_deployments::Deployments;
use callgate_plugin_host::{Hook, Instance, Plugin};
use plugin_api::abi::Verdict;
use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

/// A problem for each hook that only the list or only the code has.
pub fn mismatches<'p>(
    plugins: impl IntoIterator<Item = &'p Plugin>,
    deployments: &Deployments,
) -> Vec<Problem> {
    plugins.into_iter().flat_map(|plugin| compare(plugin, deployments)).collect()
}

fn compare(plugin: &Plugin, deployments: &Deployments) -> Vec<Problem> {
    let instance = match plugin.create_with_all_hooks() {
        Ok(instance) => instance,
        Err(problem) => return vec![problem],
    };
    let problem = |hook: Hook| {
        let implemented = implements(&instance, hook, deployments);
        let (text, remedy) = disagreement(hook, &plugin.hooks, implemented)?;
        Some(plugin.problem(&text, remedy))
    };
    Hook::ALL.into_iter().filter_map(problem).collect()
}

/// The problem and its remedy; `None` if the manifest's list and the code agree on the hook.
pub(super) fn disagreement(
    hook: Hook,
    listed: &[String],
    implemented: bool,
) -> Option<(String, &'static str)> {
    let listed = listed.iter().any(|listed| listed == hook.name());
    sentence(hook.name(), listed, implemented)
}

fn sentence(hook: &str, listed: bool, implemented: bool) -> Option<(String, &'static str)> {
    match (listed, implemented) {
        (true, false) => Some((
            format!("expected the hook `{hook}`, which its manifest lists, found none in its code"),
            "rebuild it with the hook, or without it in `hooks` of `export_callbacks!`",
        )),
        (false, true) => Some((
            format!(
                "expected no hook `{hook}`, found one in its code that its manifest leaves out: it would never be called"
            ),
            "rebuild it with the hook listed in `hooks` of `export_callbacks!`",
        )),
        _ => None,
    }
}

/// Whether the type overrides the hook, whatever the hook does with this call.
fn implements(instance: &Instance, hook: Hook, deployments: &Deployments) -> bool {
    let Some(mut call) = sample_call::call("check") else { return true };
    has_own_body(sample_call::run(instance, hook, &mut call, deployments))
}

/// The default body is ready at once, so one that waits is the author's.
fn has_own_body(hook: impl Future<Output = Verdict>) -> bool {
    let polled = pin!(hook).poll(&mut Context::from_waker(Waker::noop()));
    polled != Poll::Ready(Verdict::NOT_IMPLEMENTED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_disagreement_is_a_problem() {
        for (listed, implemented, said) in [
            (true, true, None),
            (false, false, None),
            (true, false, Some("found none")),
            (false, true, Some("leaves out")),
        ] {
            let sentence = sentence("on_llm_end", listed, implemented);
            assert_eq!(sentence.is_some(), said.is_some(), "{listed} {implemented}");
            if let Some((text, _)) = sentence {
                assert!(text.contains("`on_llm_end`") && text.contains(said.unwrap()), "{text}");
            }
        }
    }

    #[test]
    fn a_hook_that_waits_is_its_authors() {
        assert!(has_own_body(std::future::pending()));
        assert!(has_own_body(std::future::ready(Verdict::CONTINUE)));
        assert!(!has_own_body(std::future::ready(Verdict::NOT_IMPLEMENTED)));
    }
}
