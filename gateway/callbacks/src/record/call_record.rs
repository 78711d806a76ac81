//! The record of one call while it runs.

use super::images::{CallImage, Circumstances, EventImage};
use callgate_call::Call;
use callgate_deployments::Deployments;
use callgate_failure::Failure;
use callgate_host::{Clock, Exchange, SystemClock};
use callgate_plugin_host::Hook;
use plugin_api::Reply;
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

/// Takes a call's record when it ends.
pub(super) trait RecordSink: fmt::Debug + Send + Sync {
    /// Never blocks.
    fn keep(self: Arc<Self>, recorded: Recorded);
}

/// Goes to its recorder when it is dropped: with the last copy of the call.
#[derive(Debug)]
pub(crate) struct CallRecord {
    recorder: Arc<dyn RecordSink>,
    hooks: Mutex<Recorded>,
}

/// The record of a call.
#[derive(Debug)]
pub(super) struct Recorded {
    /// The call at the callback's first hook.
    pub(super) first: CallImage,
    pub(super) hooks: Vec<HookRecord>,
    /// The latest fault, until its hook has ended.
    fault: Option<(String, bool)>,
}

/// One hook that ran.
#[derive(Debug)]
pub(super) struct HookRecord {
    pub(super) hook: Hook,
    pub(super) unix_ms: u64,
    pub(super) before: (Circumstances, EventImage),
    pub(super) after: (Circumstances, EventImage),
    /// The call before and after a start hook.
    pub(super) calls: Option<(CallImage, CallImage)>,
    pub(super) verdict: HookVerdict,
    pub(super) http: Vec<Exchange>,
}

#[derive(Debug)]
pub(crate) enum HookVerdict {
    Continue,
    Reply(Reply),
    /// A stream that the callback writes, which is not recorded.
    ReplyStream,
    Rejection(Failure),
    Fault {
        message: String,
        spoiled: bool,
    },
}

/// A hook that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    hook: Hook,
    unix_ms: u64,
    before: (Circumstances, EventImage),
    call: Option<CallImage>,
}

impl CallRecord {
    pub(super) fn new(
        recorder: Arc<dyn RecordSink>,
        call: &Call,
        deployments: &Arc<Deployments>,
    ) -> Self {
        let first = CallImage::of(call, deployments);
        let hooks = Mutex::new(Recorded { first, hooks: Vec::new(), fault: None });
        Self { recorder, hooks }
    }

    /// The record of a call by the callback at `place`, if it is recorded.
    pub(crate) fn of(call: &Call, place: usize) -> Option<Arc<Self>> {
        Arc::clone(call.records.of(place)?).downcast().ok()
    }

    pub(crate) fn begin(
        &self,
        hook: Hook,
        call: &Call,
        deployments: &Arc<Deployments>,
        event: EventImage,
    ) -> Begun {
        Begun {
            hook,
            unix_ms: SystemClock.unix_ms(),
            before: (Circumstances::of(call), event),
            call: (hook == Hook::Start).then(|| CallImage::of(call, deployments)),
        }
    }

    pub(crate) fn end(
        &self,
        begun: Begun,
        call: &Call,
        deployments: &Arc<Deployments>,
        (event, verdict, http): (EventImage, HookVerdict, Vec<Exchange>),
    ) {
        let after = (Circumstances::of(call), event);
        let calls = begun.call.map(|before| (before, CallImage::of(call, deployments)));
        let mut recorded = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = recorded.fault.take();
        let fault = fault.map(|(message, spoiled)| HookVerdict::Fault { message, spoiled });
        recorded.hooks.push(HookRecord {
            hook: begun.hook,
            unix_ms: begun.unix_ms,
            before: begun.before,
            after,
            calls,
            verdict: fault.unwrap_or(verdict),
            http,
        });
    }

    /// Notes the fault of the hook that is about to end.
    pub(crate) fn note_fault(&self, message: &str, spoiled: bool) {
        let mut recorded = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.fault = Some((message.to_owned(), spoiled));
    }
}

impl Recorded {
    /// About the bytes that it holds.
    pub(super) fn size(&self) -> usize {
        let exchange = |it: &Exchange| {
            it.request.body_bytes().len() + it.answer.as_ref().map_or(0, |it| it.body.len())
        };
        let hook = |it: &HookRecord| {
            let calls = it.calls.as_ref().map_or(0, |(before, after)| before.size() + after.size());
            let http: usize = it.http.iter().map(exchange).sum();
            500 + calls + it.before.1.size() + it.after.1.size() + http
        };
        self.first.size() + self.hooks.iter().map(hook).sum::<usize>()
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        let recorded = self.hooks.get_mut().unwrap_or_else(PoisonError::into_inner);
        if recorded.hooks.is_empty() {
            return;
        }
        let hooks = std::mem::take(&mut recorded.hooks);
        let first = CallImage::of(&recorded.first.call, &recorded.first.deployments);
        Arc::clone(&self.recorder).keep(Recorded { first, hooks, fault: None });
    }
}
