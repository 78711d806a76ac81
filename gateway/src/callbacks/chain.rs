//! The callbacks in list order: running a hook through all of them, and what its verdicts mean.
//!
//! A rejection is a decision and stops the walk; a fault is the callback's own failure and does
//! what its `on_error` says. Every callback that let a call pass at its start is owed exactly one
//! end or error hook: `Call::passed` counts them, and only [`Chain::end`] and [`Chain::error`] pay.
//!
//! `link` is one callback, `verdict` what a hook came to, `renewal` the chain as it is now and what
//! happens after a panic, `laps` and `pace` find slow hooks and keep the log short.

mod laps;
mod link;
mod pace;
mod renewal;
mod verdict;

pub(crate) use renewal::Callbacks;

use super::{
    answer::{Chunk, Failing, Reply},
    hook::Hook,
    scope::{Given, Scope},
};
use crate::{call::Call, deployments::Deployments, failure::Failure};
use laps::Laps;
use link::Link;
use plugin_api::{FailureKind, Rejection};
use renewal::Living;
use std::{sync::Arc, time::Duration};
use verdict::{Outcome, outcome};

/// How long an async hook may take when the config does not say.
const START_TIMEOUT: Duration = Duration::from_secs(2);
const TOKEN_TIMEOUT: Duration = Duration::from_millis(50);

/// All callbacks, in the order of the config's list. A call keeps the chain it began with.
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
    Replied {
        by: Arc<str>,
        reply: plugin_api::Reply,
    },
    Failed(Failure),
}

/// Runs one hook of one link: sync in place, async up to its limit. `None` when it has no such hook.
macro_rules! run {
    ($place:ident, $link:ident, $call:ident, $deployments:ident, $laps:ident, $limit:expr, $hook:expr,
     $sync:ident, $async:ident, $has:ident $(, $arg:expr)?) => {
        match $link.living.instance() {
            None => $link.missing($hook).map(Outcome::Fault),
            Some(instance) => {
                let mut scope = Scope {
                    call: &mut *$call,
                    deployments: $deployments,
                    place: $place,
                    starting: matches!($hook, Hook::Start),
                    sees_credentials: $link.slot.recipe.entry.grants.read_auth_header,
                    given: Given::Nothing,
                };
                if instance.$has() {
                    $laps.begin();
                    let verdict = instance.$sync(&mut scope $(, $arg)?);
                    $link.took($hook, $laps.end());
                    Some(outcome(verdict, scope.given))
                } else if let Some(hook) = instance.$async(&mut scope $(, $arg)?) {
                    $laps.pause();
                    let waited = $link.wait(hook, $limit).await;
                    Some(match waited {
                        Ok(verdict) => outcome(verdict, scope.given),
                        Err(fault) => Outcome::Fault(fault),
                    })
                } else {
                    None
                }
            }
        }
    };
}

impl Chain {
    fn new(links: Vec<Link>) -> Self {
        let any = |hook| links.iter().any(|link| link.has(hook));
        let (wants_tokens, wants_end) = (any(Hook::NewToken), any(Hook::End));
        Self { links, wants_tokens, wants_end }
    }

    /// The same chain with another instance in one place.
    fn with(&self, place: usize, living: &Arc<Living>) -> Self {
        let mut links = self.links.clone();
        if let Some(link) = links.get_mut(place) {
            link.living = Arc::clone(living);
        }
        Self { links, ..*self }
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
        let mut laps = Laps::default();
        for (place, link) in self.links.iter().enumerate() {
            if link.active() {
                let snapshot = link.is_dispensable().then(|| call.snapshot());
                let done = run!(
                    place,
                    link,
                    call,
                    deployments,
                    laps,
                    START_TIMEOUT,
                    Hook::Start,
                    on_llm_start,
                    on_llm_start_async,
                    has_start
                );
                match done {
                    None | Some(Outcome::Continue) => {}
                    Some(Outcome::Reply(reply)) => {
                        call.passed = place + 1;
                        return Started::Replied { by: Arc::clone(link.name()), reply };
                    }
                    Some(Outcome::Reject(rejection)) => {
                        return Started::Failed(refusal(
                            link,
                            Hook::Start,
                            rejection,
                            FailureKind::REJECTED,
                        ));
                    }
                    Some(Outcome::Fault(fault)) => {
                        let kind = FailureKind::FAULT;
                        if let Some(failure) = link.faulted(Hook::Start, &fault, call, kind) {
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
        let mut laps = Laps::default();
        for (place, link) in self.passed(call) {
            let before = link.is_dispensable().then(|| chunk.json.clone());
            let done = run!(
                place,
                link,
                call,
                deployments,
                laps,
                TOKEN_TIMEOUT,
                Hook::NewToken,
                on_llm_new_token,
                on_llm_new_token_async,
                has_new_token,
                &mut *chunk
            );
            let kind = FailureKind::REPLY_REFUSED;
            match done {
                None | Some(Outcome::Continue) => {}
                Some(Outcome::Reject(rejection)) => {
                    return Err(refusal(link, Hook::NewToken, rejection, kind));
                }
                Some(Outcome::Fault(fault)) => {
                    if let Some(failure) = link.faulted(Hook::NewToken, &fault, call, kind) {
                        return Err(failure);
                    }
                    *chunk = Chunk::new(chunk.index, before.unwrap_or_default());
                }
                Some(Outcome::Reply(_)) => reply_too_late(link, Hook::NewToken),
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
        let mut laps = Laps::default();
        for (place, link) in self.passed(call) {
            let before = link.is_dispensable().then(|| reply.snapshot());
            let done = run!(
                place,
                link,
                call,
                deployments,
                laps,
                START_TIMEOUT,
                Hook::End,
                on_llm_end,
                on_llm_end_async,
                has_end,
                &mut *reply
            );
            let kind = FailureKind::REPLY_REFUSED;
            match done {
                None | Some(Outcome::Continue) => {}
                Some(Outcome::Reject(rejection)) => {
                    return Err((place + 1, refusal(link, Hook::End, rejection, kind)));
                }
                Some(Outcome::Fault(fault)) => {
                    if let Some(failure) = link.faulted(Hook::End, &fault, call, kind) {
                        return Err((place + 1, failure));
                    }
                    if let Some(before) = before {
                        reply.restore(before);
                    }
                }
                Some(Outcome::Reply(_)) => reply_too_late(link, Hook::End),
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
        let mut laps = Laps::default();
        for (place, link) in self.passed(call).skip(from) {
            let before = link.is_dispensable().then(|| failing.failure.clone());
            let done = run!(
                place,
                link,
                call,
                deployments,
                laps,
                START_TIMEOUT,
                Hook::Error,
                on_llm_error,
                on_llm_error_async,
                has_error,
                &mut *failing
            );
            match done {
                None | Some(Outcome::Continue) => {}
                Some(Outcome::Reject(rejection)) if !failing.sent => {
                    let kind = failing.failure.kind;
                    *failing.failure = refusal(link, Hook::Error, rejection, kind);
                }
                Some(Outcome::Reject(_)) => {
                    tracing::debug!(
                        callback.name = &**link.name(),
                        "refused what was already sent"
                    );
                }
                Some(Outcome::Fault(fault)) => {
                    // The call has failed already; this cannot fail it more.
                    let _ = link.faulted(Hook::Error, &fault, call, failing.failure.kind);
                    if let Some(before) = before {
                        *failing.failure = before;
                    }
                }
                Some(Outcome::Reply(_)) => reply_too_late(link, Hook::Error),
            }
        }
        call.passed = 0;
    }

    fn passed(&self, call: &Call) -> impl Iterator<Item = (usize, &Link)> + use<'_> {
        self.links.iter().enumerate().take(call.passed).filter(|(_, link)| link.active())
    }
}

fn reply_too_late(link: &Link, hook: Hook) {
    link.odd(hook, "answered, which only on_llm_start may, so the answer is left out,");
}

fn refusal(link: &Link, hook: Hook, rejection: Rejection, kind: FailureKind) -> Failure {
    if !(400..600).contains(&rejection.status) {
        let status = rejection.status;
        let what =
            format!("refused with status {status}, not one from 400 to 599, so 500 is sent,");
        link.odd(hook, &what);
    }
    verdict::refusal(link.name(), rejection, kind)
}
