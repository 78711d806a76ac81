//! Whether a manifest's list of hooks is what the code has: a listed hook that does nothing costs
//! every call, one that is not listed is never called. Both look like a callback that works.
//!
//! `check` asks; a start does not, for the hooks are run on a canned call to find out.

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

/// A problem for each hook that is listed and not there, or there and not listed.
pub fn mismatches(plugins: &[Plugin], deployments: &Deployments) -> Vec<Problem> {
    plugins.iter().flat_map(|plugin| compare(plugin, deployments)).collect()
}

fn compare(plugin: &Plugin, deployments: &Deployments) -> Vec<Problem> {
    let instance = match plugin.create_with_all_hooks() {
        Ok(instance) => instance,
        Err(problem) => return vec![problem],
    };
    let problem = |hook: Hook| {
        let name = hook.name();
        let listed = plugin.hooks.iter().any(|listed| listed == name);
        let (text, remedy) = sentence(name, listed, implements(&instance, hook, deployments))?;
        Some(plugin.problem(&text, remedy))
    };
    Hook::ALL.into_iter().filter_map(problem).collect()
}

/// What is wrong, and what to do; `None` when nothing is.
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

/// Whether the type has a body of its own for the hook, whatever that does with this call.
fn implements(instance: &Instance, hook: Hook, deployments: &Deployments) -> bool {
    let Some(mut call) = sample_call::call("check") else { return true };
    has_own_body(sample_call::run(instance, hook, &mut call, deployments))
}

/// The default body is ready at once; one that waits is its author's.
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
