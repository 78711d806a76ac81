//! Whether a manifest's list of hooks is what the code has: a listed hook that does nothing costs
//! every call, one that is not listed is never called. Both look like a callback that works.
//!
//! `check` asks; a start does not, for the hooks are run on a canned call to find out.

use super::{
    answer::{Chunk, Failing, Figures, Reply, Streamed},
    hook::Hook,
    loader::{Instance, Plugin},
    refusal::{about, weigh},
    scope::Scope,
};
use crate::{
    call::{Accepted, Call},
    config::Problem,
    deployments::Deployments,
    failure::Failure,
    json::Body,
};
use bytes::Bytes;
use http::HeaderMap;
use plugin_api::{Endpoint, FailureKind, abi::Verdict};
use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

const BODY: &str = r#"{"model":"check","messages":[{"role":"user","content":"hello"}]}"#;
const CHUNK: &str = r#"{"choices":[{"index":0,"delta":{"content":"hello"}}]}"#;
const REPLY: &str = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}]}"#;

/// A problem for each hook that is listed and not there, or there and not listed.
pub(crate) fn disagreements(plugins: &[Plugin], deployments: &Deployments) -> Vec<Problem> {
    plugins.iter().flat_map(|plugin| compare(plugin, deployments)).collect()
}

fn compare(plugin: &Plugin, deployments: &Deployments) -> Vec<Problem> {
    let (entry, file) = (&plugin.entry, Some(plugin.file.as_path()));
    let instance = match plugin.create_with_all_hooks() {
        Ok(instance) => instance,
        Err(refusal) => return vec![weigh(entry, refusal.problem(entry, file))],
    };
    let problem = |hook: Hook| {
        let name = hook.name();
        let listed = plugin.hooks.iter().any(|listed| listed == name);
        let (text, remedy) = sentence(name, listed, implements(&instance, hook, deployments))?;
        let problem = Problem::error(entry.place.clone(), about(entry, file, &text));
        Some(weigh(entry, problem.remedy(remedy)))
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
    let Some(mut call) = canned() else { return true };
    let mut scope = Scope::new(&mut call, deployments, 0, hook, false);
    macro_rules! run {
        ($has:ident, $sync:ident, $async:ident $(, $arg:expr)?) => {
            if instance.$has() {
                instance.$sync(&mut scope $(, $arg)?) != Verdict::NOT_IMPLEMENTED
            } else {
                instance.$async(&mut scope $(, $arg)?).is_some_and(has_own_body)
            }
        };
    }
    match hook {
        Hook::Start => run!(has_start, on_llm_start, on_llm_start_async),
        Hook::NewToken => {
            let mut chunk = Chunk::new(0, CHUNK.to_owned());
            run!(has_new_token, on_llm_new_token, on_llm_new_token_async, &mut chunk)
        }
        Hook::End => {
            let streamed = Streamed::default();
            let mut reply = Reply::new(200, Some(Bytes::from_static(REPLY.as_bytes())), &streamed);
            run!(has_end, on_llm_end, on_llm_end_async, &mut reply)
        }
        Hook::Error => {
            let failure = Failure::new(FailureKind::UPSTREAM_STATUS, 503, "check");
            let (streamed, figures) = ("".into(), Figures::default());
            let mut failing = Failing { failure, sent: false, streamed, figures };
            run!(has_error, on_llm_error, on_llm_error_async, &mut failing)
        }
    }
}

/// The default body is ready at once; one that waits is its author's.
fn has_own_body(hook: impl Future<Output = Verdict>) -> bool {
    let polled = pin!(hook).poll(&mut Context::from_waker(Waker::noop()));
    polled != Poll::Ready(Verdict::NOT_IMPLEMENTED)
}

fn canned() -> Option<Call> {
    let body = Body::parse(Bytes::from_static(BODY.as_bytes())).ok()?;
    Some(Call::new(Accepted {
        id: "check".to_owned(),
        endpoint: Endpoint::CHAT,
        requested_model: "check".to_owned(),
        stream: false,
        headers: HeaderMap::new(),
        key_id: Arc::from("check"),
        accepted: Instant::now(),
        body,
    }))
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
    fn the_canned_call_is_one() {
        let call = canned().expect("the body is JSON");
        assert_eq!((call.message_count(), call.model()), (1, "check"));
    }

    #[test]
    fn a_hook_that_waits_is_its_authors() {
        assert!(has_own_body(std::future::pending()));
        assert!(has_own_body(std::future::ready(Verdict::CONTINUE)));
        assert!(!has_own_body(std::future::ready(Verdict::NOT_IMPLEMENTED)));
    }
}
