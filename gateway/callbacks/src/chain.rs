//! The chain: runs a hook of every callback in list order, and acts on the verdicts.
//!
//! A rejection is a decision and stops the walk. A fault is the callback's own failure; its
//! `on_error` decides what follows. Every callback that let a call pass its start hook gets exactly
//! one end or error hook: `Call::passed` counts those owed, `Call::paid` those done; only
//! [`Chain::end`] and [`Chain::error`] advance it.
//!
//! Reading order: `event` is the data of a hook; `link` is one callback and its policy; `dispatch`
//! has the three ways to run a hook, `during` runs those beside the upstream call; `verdict` is the
//! result. `auth` says who sent a request, `model_list` what a caller sees: both outside any call.
//! `supervisor` holds the current chain and restarts callbacks after a panic, `ending` ends those
//! that are replaced. `filter`, `breaker` and `pool` are parts of the policy; `hook_timer`, `slow`,
//! `stats` and `percentiles` measure, `report` shows the figures.

mod alone;
mod auth;
mod auth_cache;
mod breaker;
mod dispatch;
mod during;
mod ending;
mod event;
mod filter;
mod hook_timer;
mod link;
mod live_instance;
mod model_list;
mod percentiles;
mod pool;
mod report;
mod slow;
mod stats;
mod supervisor;
mod verdict;

use super::{
    chunk_queue::{ChunkQueue, NextChunk},
    payload::{ChunkPayload, EndPayload, ErrorPayload},
    reply_stream::CallbackReply,
};
use crate::offload::offload;
pub use auth::AuthQuestion;
use callgate_call::Call;
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_plugin_host::Hook;
use dispatch::{Dispatcher, NextStep};
pub use during::DuringHooks;
use event::StartEvent;
use link::{CallAdmission, Link, LinkState};
use live_instance::LiveInstance;
use plugin_api::FailureKind;
pub use report::{
    BreakerState, CallbackReport, HookReport, LastFault, LiveReport, Status, ThreadsReport,
};
use std::sync::Arc;
pub use supervisor::{Callbacks, NotRunning};

/// All callbacks, in the order of the config's list. A call keeps the chain it began with.
#[derive(Debug, Default)]
pub struct Chain {
    links: Vec<Link>,
    wants_during: bool,
    wants_tokens: bool,
    wants_end: bool,
    /// Whether the manifest of any callback says that it reads bodies.
    reads_bodies: bool,
    /// Whether any callback can ask for the upstream's response: the manifest says so.
    reads_responses: bool,
    /// Whether any callback asks for the completion that a stream came to.
    wants_completion: bool,
    /// Whether streams are collected for any callback.
    buffers_streams: bool,
}

/// The result of the start hooks.
#[derive(Debug)]
pub enum Started {
    /// The call goes on to the upstream.
    Continue,
    /// A callback replied.
    Replied {
        by: Arc<str>,
        reply: CallbackReply,
    },
    Failed(Failure),
}

/// Runs one hook, in place if it can.
macro_rules! step {
    ($dispatcher:ident, $place:ident, $link:ident, $call:ident, $event:expr) => {
        match $dispatcher.try_sync($place, $link, $call, $event) {
            Some(step) => step,
            None => $dispatcher.run_slow($place, $link, $call, $event).await,
        }
    };
}

impl Chain {
    fn new(links: Vec<Link>) -> Self {
        let any = |hook| links.iter().any(|link| link.has(hook));
        let wants_during = any(Hook::During);
        let (wants_tokens, wants_end) = (any(Hook::NewToken), any(Hook::End));
        let reads_bodies = links.iter().any(Link::reads_bodies);
        let reads_responses = links.iter().any(Link::reads_responses);
        let wants_completion = links.iter().any(Link::wants_completion);
        let buffers_streams = links.iter().any(Link::buffers_streams);
        Self {
            links,
            wants_during,
            wants_tokens,
            wants_end,
            reads_bodies,
            reads_responses,
            wants_completion,
            buffers_streams,
        }
    }

    /// The same chain with another instance of one callback.
    fn with(&self, slot: &Arc<LinkState>, living: &Arc<LiveInstance>) -> Self {
        let mut links = self.links.clone();
        if let Some(link) = links.iter_mut().find(|link| Arc::ptr_eq(&link.slot, slot)) {
            link.living = Arc::clone(living);
        }
        Self { links, ..*self }
    }

    fn link(&self, slot: &Arc<LinkState>) -> Option<&Link> {
        self.links.iter().find(|link| Arc::ptr_eq(&link.slot, slot))
    }

    /// Whether any callback asks for the completion that a stream came to.
    pub fn wants_completion(&self) -> bool {
        self.wants_completion
    }

    /// Whether the stream of this call is collected, for a callback that let the call pass.
    pub fn buffers_stream_of(&self, call: &Call) -> bool {
        let mut links = self.links.iter().enumerate().take(call.passed);
        self.buffers_streams
            && links.any(|(place, link)| link.buffers_streams() && !call.left_out.has(place))
    }

    /// Whether any callback can ask for the status and headers of the upstream's response.
    pub fn reads_responses(&self) -> bool {
        self.reads_responses
    }

    /// Whether any callback has a hook for streamed chunks.
    pub fn wants_tokens(&self) -> bool {
        self.wants_tokens
    }

    /// Whether any callback has a hook for the complete reply.
    pub fn wants_end(&self) -> bool {
        self.wants_end
    }

    /// Runs `on_llm_start` of every callback, until one replies, rejects the call or fails it.
    pub async fn start(&self, call: &mut Call, deployments: &Arc<Deployments>) -> Started {
        if self.reads_bodies
            && let Err(failure) = readable(call).await
        {
            return Started::Failed(failure);
        }
        let mut dispatcher = Dispatcher::new(deployments);
        for (place, link) in self.links.iter().enumerate() {
            let step = match link.admit(place, call, deployments) {
                CallAdmission::In => step!(dispatcher, place, link, call, &mut StartEvent),
                CallAdmission::Refused(failure) => NextStep::Failed(failure),
                CallAdmission::Out => {
                    call.left_out.add(place);
                    NextStep::On
                }
            };
            match step {
                NextStep::On => {}
                NextStep::Replied(reply) => {
                    call.passed = place + 1;
                    return Started::Replied { by: Arc::clone(link.name()), reply };
                }
                NextStep::Refused(failure) | NextStep::Failed(failure) => {
                    return Started::Failed(failure);
                }
            }
            call.passed = place + 1;
        }
        Started::Continue
    }

    /// Runs `on_llm_new_token` of every callback on a chunk that `queue` gave out. Returns what the
    /// client gets, if anything; the rest is in the queue. Later callbacks do not see a dropped
    /// chunk.
    pub async fn token(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        next: NextChunk,
        queue: &mut ChunkQueue,
    ) -> Result<Option<ChunkPayload>, Failure> {
        let mut dispatcher = Dispatcher::new(deployments);
        let (from, mut chunk) = next.begin(call);
        for (place, link) in self.links.iter().enumerate().take(call.passed).skip(from) {
            if queue.holds_text() && !queue.bring_held_text(place, &mut chunk) {
                return Ok(None);
            }
            let step = step!(dispatcher, place, link, call, &mut chunk);
            if let NextStep::Refused(failure) | NextStep::Failed(failure) = step {
                return Err(failure);
            }
            if chunk.is_n_to_m() {
                queue.take_from(place, &mut chunk);
            }
            if chunk.dropped {
                return Ok(None);
            }
        }
        Ok(Some(chunk))
    }

    /// Runs `on_llm_end` of every callback that let the call pass. If one rejects the reply or
    /// fails the call, the ones after it get the failure by [`Chain::error`].
    pub async fn end(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        reply: &mut EndPayload<'_>,
    ) -> Result<(), Failure> {
        let mut dispatcher = Dispatcher::new(deployments);
        for (place, link) in self.links.iter().enumerate().take(call.passed).skip(call.paid) {
            // Before the hook runs: if the client leaves now, this callback must not get an error
            // hook, too.
            call.paid = place + 1;
            let step = step!(dispatcher, place, link, call, reply);
            link.finished(place, call);
            if let NextStep::Refused(failure) | NextStep::Failed(failure) = step {
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Runs `on_llm_error` of every callback that has had no end or error hook yet.
    pub async fn error(
        &self,
        call: &mut Call,
        deployments: &Arc<Deployments>,
        failing: &mut ErrorPayload<'_>,
    ) {
        let mut dispatcher = Dispatcher::new(deployments);
        for (place, link) in self.links.iter().enumerate().take(call.passed).skip(call.paid) {
            call.paid = place + 1;
            let step = step!(dispatcher, place, link, call, failing);
            link.finished(place, call);
            match step {
                NextStep::Refused(failure) if !failing.sent => failing.failure = failure,
                NextStep::Refused(_) => {
                    link.warn(Hook::Error, "refused what was already sent, which is left out,");
                }
                // Replace the error: this callback may have been meant to remove a secret from it.
                NextStep::Failed(failure) if failing.failure.kind != FailureKind::CLIENT_GONE => {
                    let before = std::mem::replace(&mut failing.failure, failure);
                    failing.failure.cause = Some(format!("after `{}`", before.code_text()));
                }
                _ => {}
            }
        }
    }
}

/// Refuses a call whose body is ambiguous, before a callback judges half of it.
async fn readable(call: &mut Call) -> Result<(), Failure> {
    if call.is_large()
        && let Some(unread) = call.unread()
    {
        let reading = offload(unread).await?;
        call.set_reading(reading);
    }
    call.readable()
}
