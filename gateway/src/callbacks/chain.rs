//! The callbacks in list order: running a hook through all of them, and what its verdicts mean.
//!
//! A rejection is a decision and stops the walk; a fault is the callback's own failure and does
//! what its `on_error` says. Every callback that let a call pass at its start is owed exactly one
//! end or error hook: `Call::passed` counts them, and only [`Chain::end`] and [`Chain::error`] pay.

use super::{
    answer::{Chunk, Failing, Reply},
    loader::Plugin,
    scope::{Given, Scope},
};
use crate::{
    call::Call,
    config::OnError,
    deployments::Deployments,
    failure::{Failure, type_of},
};
use futures_util::future::poll_immediate;
use plugin_api::{
    FailureKind, Rejection,
    abi::{
        Verdict,
        serve::{HookFuture, LoadedCallback},
    },
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// How long an async hook may take when the config does not say.
const START_TIMEOUT: Duration = Duration::from_secs(2);
const TOKEN_TIMEOUT: Duration = Duration::from_millis(50);

/// One callback of the chain.
#[derive(Debug)]
struct Link {
    plugin: Plugin,
    /// Set by a fault under `on_error: disable`; cleared by nothing but a new start.
    disabled: AtomicBool,
    faults: AtomicU64,
}

/// All callbacks, in the order of the config's list.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    links: Vec<Link>,
    wants_tokens: bool,
    wants_end: bool,
}

/// Where the start hooks left a call.
#[derive(Debug)]
pub(crate) enum Started {
    /// On to the upstream.
    Continue,
    /// A callback answers.
    Replied { by: Arc<str>, reply: plugin_api::Reply },
    Failed(Failure),
}

/// What one callback's hook came to.
enum Outcome {
    Continue,
    Reply(plugin_api::Reply),
    Reject(Rejection),
    Fault(String),
}

impl Link {
    fn new(plugin: Plugin) -> Self {
        Self { plugin, disabled: AtomicBool::new(false), faults: AtomicU64::new(0) }
    }

    fn name(&self) -> &Arc<str> {
        &self.plugin.name
    }

    fn on_error(&self) -> OnError {
        self.plugin.entry.on_error
    }

    fn active(&self) -> bool {
        !self.disabled.load(Ordering::Relaxed)
    }

    /// Waits for an async hook; one that is ready at once never touches a timer.
    async fn wait(&self, mut hook: HookFuture<'_>, limit: Duration) -> Result<Verdict, String> {
        if let Some(verdict) = poll_immediate(&mut hook).await {
            return Ok(verdict);
        }
        let limit = self.plugin.entry.timeout.unwrap_or(limit);
        tokio::time::timeout(limit, hook)
            .await
            .map_err(|_| format!("not done within {} ms", limit.as_millis()))
    }

    /// Counts and logs a fault; the failure of the call, if this callback's faults fail calls.
    fn faulted(&self, hook: &'static str, message: &str, call: &Call, kind: FailureKind) -> Option<Failure> {
        let count = self.faults.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(
            target: "callgate::callback",
            hook, callback.name = &**self.name(), call.id = %call.id, faults = count,
            "callback `{}` failed in {hook}: {message}", self.name()
        );
        match self.on_error() {
            OnError::Fail => {
                let text = format!("callback `{}` failed, so the call was stopped", self.name());
                let mut failure = Failure::new(kind, 503, text).code("callback_failed");
                failure.callback = Some(Arc::clone(self.name()));
                Some(failure)
            }
            OnError::Ignore => None,
            OnError::Disable => {
                if !self.disabled.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        target: "callgate::callback",
                        faults = count, callback.name = &**self.name(),
                        "callback `{}` is switched off until the next start (`on_error: disable`)",
                        self.name()
                    );
                }
                None
            }
        }
    }
}

/// What a verdict and what was given with it come to.
fn outcome(verdict: Result<Verdict, String>, given: Given) -> Outcome {
    match (verdict, given) {
        (Err(message), _) => Outcome::Fault(message),
        (Ok(Verdict::CONTINUE | Verdict::NOT_IMPLEMENTED), _) => Outcome::Continue,
        (Ok(Verdict::REPLY), Given::Reply(reply)) => Outcome::Reply(reply),
        (Ok(Verdict::REJECT), Given::Rejection(rejection)) => Outcome::Reject(rejection),
        (Ok(Verdict::FAULT), Given::Fault(message)) => Outcome::Fault(message),
        (Ok(other), _) => Outcome::Fault(format!("returned verdict {} without its content", other.0)),
    }
}

/// Runs one hook of one link: sync in place, async up to its limit.
macro_rules! run {
    ($chain:ident, $place:ident, $link:ident, $call:ident, $deployments:ident, $starting:literal,
     $limit:expr, $sync:ident, $async:ident, $has:ident, $has_async:ident $(, $arg:expr)?) => {{
        let mut scope = Scope {
            call: &mut *$call,
            deployments: $deployments,
            place: $place,
            starting: $starting,
            given: Given::Nothing,
        };
        let verdict = if $link.plugin.instance.$has() {
            Some(Ok($link.plugin.instance.$sync(&mut scope $(, $arg)?)))
        } else if let Some(hook) = $link.plugin.instance.$async(&mut scope $(, $arg)?) {
            Some($link.wait(hook, $limit).await)
        } else {
            None
        };
        let given = scope.given;
        verdict.map(|verdict| outcome(verdict, given))
    }};
}

impl Chain {
    pub(crate) fn new(plugins: Vec<Plugin>) -> Self {
        let links: Vec<Link> = plugins.into_iter().map(Link::new).collect();
        let any = |has: fn(&LoadedCallback) -> bool| links.iter().any(|link| has(&link.plugin.instance));
        let wants_tokens = any(|it| it.has_new_token() || it.has_new_token_async());
        let wants_end = any(|it| it.has_end() || it.has_end_async());
        Self { links, wants_tokens, wants_end }
    }

    /// Whether any callback looks at streamed chunks.
    pub(crate) fn wants_tokens(&self) -> bool {
        self.wants_tokens
    }

    /// Whether any callback will look at the complete answer.
    pub(crate) fn wants_end(&self) -> bool {
        self.wants_end
    }

    /// `on_llm_start` of every callback, until one answers, refuses or breaks.
    pub(crate) async fn start(&self, call: &mut Call, deployments: &Deployments) -> Started {
        for (place, link) in self.links.iter().enumerate() {
            if link.active() {
                let snapshot = (link.on_error() != OnError::Fail).then(|| call.snapshot());
                let done = run!(self, place, link, call, deployments, true, START_TIMEOUT,
                    on_llm_start, on_llm_start_async, has_start, has_start_async);
                match done {
                    None | Some(Outcome::Continue) => {}
                    Some(Outcome::Reply(reply)) => {
                        call.passed = place + 1;
                        return Started::Replied { by: Arc::clone(link.name()), reply };
                    }
                    Some(Outcome::Reject(rejection)) => {
                        return Started::Failed(refusal(link, rejection, FailureKind::REJECTED));
                    }
                    Some(Outcome::Fault(message)) => {
                        let kind = FailureKind::FAULT;
                        if let Some(failure) = link.faulted("on_llm_start", &message, call, kind) {
                            return Started::Failed(failure);
                        }
                        if let Some(snapshot) = snapshot {
                            call.restore(snapshot);
                        }
                    }
                }
            }
            call.passed = place + 1;
        }
        Started::Continue
    }

    /// `on_llm_new_token` of every callback; a dropped chunk goes no further.
    pub(crate) async fn token(
        &self,
        call: &mut Call,
        deployments: &Deployments,
        chunk: &mut Chunk,
    ) -> Result<(), Failure> {
        for (place, link) in self.passed(call) {
            let before = (link.on_error() != OnError::Fail).then(|| chunk.json.clone());
            let done = run!(self, place, link, call, deployments, false, TOKEN_TIMEOUT,
                on_llm_new_token, on_llm_new_token_async, has_new_token, has_new_token_async, &mut *chunk);
            let kind = FailureKind::REPLY_REFUSED;
            match done {
                None | Some(Outcome::Continue) => {}
                Some(Outcome::Reject(rejection)) => return Err(refusal(link, rejection, kind)),
                Some(Outcome::Fault(message)) => {
                    if let Some(failure) = link.faulted("on_llm_new_token", &message, call, kind) {
                        return Err(failure);
                    }
                    *chunk = Chunk::new(chunk.index, before.unwrap_or_default());
                }
                Some(Outcome::Reply(_)) => reply_too_late(link, "on_llm_new_token"),
            }
            if chunk.dropped {
                break;
            }
        }
        Ok(())
    }

    /// `on_llm_end` of every callback that is owed one. When one refuses or breaks, the ones
    /// behind it are still owed: they get the failure by [`Chain::error`].
    pub(crate) async fn end(
        &self,
        call: &mut Call,
        deployments: &Deployments,
        reply: &mut Reply<'_>,
    ) -> Result<(), (usize, Failure)> {
        for (place, link) in self.passed(call) {
            let before = (link.on_error() != OnError::Fail).then(|| reply.json.clone());
            let done = run!(self, place, link, call, deployments, false, START_TIMEOUT,
                on_llm_end, on_llm_end_async, has_end, has_end_async, &mut *reply);
            let kind = FailureKind::REPLY_REFUSED;
            match done {
                None | Some(Outcome::Continue) => {}
                Some(Outcome::Reject(rejection)) => {
                    return Err((place + 1, refusal(link, rejection, kind)));
                }
                Some(Outcome::Fault(message)) => {
                    if let Some(failure) = link.faulted("on_llm_end", &message, call, kind) {
                        return Err((place + 1, failure));
                    }
                    if let Some(json) = before {
                        reply.json = json;
                    }
                }
                Some(Outcome::Reply(_)) => reply_too_late(link, "on_llm_end"),
            }
        }
        call.passed = 0;
        Ok(())
    }

    /// `on_llm_error` of every callback that is owed one, from place `from` on.
    pub(crate) async fn error(
        &self,
        call: &mut Call,
        deployments: &Deployments,
        failing: &mut Failing<'_>,
        from: usize,
    ) {
        for (place, link) in self.passed(call).skip(from) {
            let done = run!(self, place, link, call, deployments, false, START_TIMEOUT,
                on_llm_error, on_llm_error_async, has_error, has_error_async, &mut *failing);
            match done {
                None | Some(Outcome::Continue) => {}
                Some(Outcome::Reject(rejection)) if !failing.sent => {
                    let kind = failing.failure.kind;
                    *failing.failure = refusal(link, rejection, kind);
                }
                Some(Outcome::Reject(_)) => {
                    tracing::debug!(callback.name = &**link.name(), "refused what was already sent");
                }
                Some(Outcome::Fault(message)) => {
                    // The call has failed already; this cannot fail it more.
                    let _ = link.faulted("on_llm_error", &message, call, failing.failure.kind);
                }
                Some(Outcome::Reply(_)) => reply_too_late(link, "on_llm_error"),
            }
        }
        call.passed = 0;
    }

    /// Tells every callback that no new call will come. May block.
    pub(crate) fn shutdown(&self) {
        for link in &self.links {
            link.plugin.instance.shutdown();
        }
    }

    fn passed(&self, call: &Call) -> impl Iterator<Item = (usize, &Link)> + use<'_> {
        self.links.iter().enumerate().take(call.passed).filter(|(_, link)| link.active())
    }
}

fn reply_too_late(link: &Link, hook: &'static str) {
    tracing::warn!(
        target: "callgate::callback",
        hook, callback.name = &**link.name(),
        "callback `{}` answered in {hook}; only on_llm_start may, so the answer is left out", link.name()
    );
}

/// A callback's refusal as the call's failure.
fn refusal(link: &Link, rejection: Rejection, kind: FailureKind) -> Failure {
    let name = Arc::clone(link.name());
    let valid = (400..600).contains(&rejection.status);
    if !valid {
        tracing::warn!(
            target: "callgate::callback",
            status = rejection.status, callback.name = &*name,
            "callback `{name}` refused with status {}, which is not one from 400 to 599: 500 is sent",
            rejection.status
        );
    }
    let status = if valid { rejection.status } else { 500 };
    let mut failure = Failure::new(kind, status, rejection.message).error_type(type_of(status));
    failure.code = rejection.code.map(Into::into);
    failure.retry_after = rejection.retry_after.map(whole_seconds);
    failure.headers = rejection.headers;
    failure.callback = Some(name);
    failure
}

/// `Retry-After` speaks in whole seconds: rounded up, so that a client that waits is not early.
fn whole_seconds(wait: Duration) -> String {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        for (millis, seconds) in [(0, "0"), (1, "1"), (1000, "1"), (1001, "2"), (59_999, "60")] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds);
        }
    }

    #[test]
    fn a_verdict_without_its_content_is_a_fault() {
        for verdict in [Verdict::REPLY, Verdict::REJECT, Verdict::FAULT, Verdict(99)] {
            let done = outcome(Ok(verdict), Given::Nothing);
            assert!(matches!(done, Outcome::Fault(_)), "{verdict:?}");
        }
    }
}
