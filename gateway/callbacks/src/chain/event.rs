//! The data that the hooks run on, beside the call: a start, a chunk, a reply, or a failure.
//! One trait, so that the chain's policy is written once.

use crate::{
    call_handle::CallHandle,
    payload::{ChunkPayload, EndPayload, EndPayloadSnapshot, ErrorPayload},
    record::EventImage,
};
use bytes::Bytes;
use callgate_failure::Failure;
use callgate_json::LARGE;
use callgate_plugin_host::{Hook, Instance, RunningHook};
use plugin_api::{FailureKind, abi::Verdict};

/// The data of one hook.
pub(super) trait HookEvent {
    const HOOK: Hook;
    /// An owned copy, for a hook that can time out.
    type Owned: HookEvent + Send + 'static;
    /// The part that the hook may change.
    type Before;

    /// Whether reading it takes so long that other calls of the thread must not wait.
    fn is_large(&self) -> bool;

    fn run(&mut self, instance: &Instance, handle: &mut CallHandle<'_>) -> Verdict;

    fn run_async<'a>(
        &'a mut self,
        instance: &'a Instance,
        handle: &'a mut CallHandle<'_>,
    ) -> Option<RunningHook<'a>>;

    fn before(&self) -> Self::Before;

    /// Rolls the hook's changes back.
    fn restore(&mut self, before: Self::Before);

    fn to_owned(&self) -> Self::Owned;

    /// As `to_owned`, for a hook whose failure ends the call, so that nothing has to be kept here.
    fn lend(&mut self) -> Self::Owned {
        self.to_owned()
    }

    /// Commits the changes of an owned copy.
    fn take_over(&mut self, owned: Self::Owned);

    /// Whether a hook's edits of `copy`, an owned copy, would change it.
    fn is_changed_by(&self, copy: &Self::Owned) -> bool;

    /// A copy for a record.
    fn image(&self) -> EventImage;

    /// The kinds of failure after a rejection and after a fault.
    fn failures(&self) -> (FailureKind, FailureKind);
}

/// The start of a call; all its data is in the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct StartEvent;

/// The time beside the upstream call; all its data is in the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct DuringEvent;

macro_rules! run {
    ($sync:ident, $async:ident $(, $own:ident)?) => {
        fn run(&mut self, instance: &Instance, handle: &mut CallHandle<'_>) -> Verdict {
            $(let $own = self;)?
            instance.$sync(handle $(, $own)?)
        }

        fn run_async<'a>(
            &'a mut self,
            instance: &'a Instance,
            handle: &'a mut CallHandle<'_>,
        ) -> Option<RunningHook<'a>> {
            $(let $own = self;)?
            instance.$async(handle $(, $own)?)
        }
    };
}

/// The parts of an event that has no data beside the call.
macro_rules! no_data {
    ($failures:expr) => {
        fn is_large(&self) -> bool {
            false
        }

        fn before(&self) {}

        fn restore(&mut self, (): ()) {}

        fn to_owned(&self) -> Self {
            *self
        }

        fn take_over(&mut self, _: Self) {}

        fn is_changed_by(&self, _: &Self) -> bool {
            false
        }

        fn image(&self) -> EventImage {
            EventImage::Nothing
        }

        fn failures(&self) -> (FailureKind, FailureKind) {
            $failures
        }
    };
}

impl HookEvent for StartEvent {
    const HOOK: Hook = Hook::Start;
    type Owned = Self;
    type Before = ();

    run!(on_llm_start, on_llm_start_async);
    no_data!((FailureKind::REJECTED, FailureKind::FAULT));
}

impl HookEvent for DuringEvent {
    const HOOK: Hook = Hook::During;
    type Owned = Self;
    type Before = ();

    /// It has no sync form.
    fn run(&mut self, _: &Instance, _: &mut CallHandle<'_>) -> Verdict {
        Verdict::NOT_IMPLEMENTED
    }

    fn run_async<'a>(
        &'a mut self,
        instance: &'a Instance,
        handle: &'a mut CallHandle<'_>,
    ) -> Option<RunningHook<'a>> {
        instance.on_llm_during_async(handle)
    }

    // The upstream has the request by now, so neither is a failure before the upstream.
    no_data!((FailureKind::REPLY_REFUSED, FailureKind::REPLY_REFUSED));
}

impl HookEvent for ChunkPayload {
    const HOOK: Hook = Hook::NewToken;
    type Owned = Self;
    type Before = String;

    run!(on_llm_new_token, on_llm_new_token_async, chunk);

    fn is_large(&self) -> bool {
        self.json.len() > LARGE
    }

    fn before(&self) -> String {
        self.json.clone()
    }

    fn restore(&mut self, before: String) {
        *self = self.unedited(before);
    }

    fn to_owned(&self) -> Self {
        self.clone()
    }

    fn lend(&mut self) -> Self {
        let json = std::mem::take(&mut self.json);
        self.unedited(json)
    }

    fn take_over(&mut self, owned: Self) {
        *self = owned;
    }

    fn is_changed_by(&self, copy: &Self) -> bool {
        copy.is_extended() || self.json != copy.json
    }

    fn image(&self) -> EventImage {
        EventImage::Chunk(self.clone())
    }

    fn failures(&self) -> (FailureKind, FailureKind) {
        (FailureKind::REPLY_REFUSED, FailureKind::REPLY_REFUSED)
    }
}

impl HookEvent for EndPayload<'_> {
    const HOOK: Hook = Hook::End;
    type Owned = EndPayload<'static>;
    type Before = EndPayloadSnapshot;

    run!(on_llm_end, on_llm_end_async, reply);

    fn is_large(&self) -> bool {
        self.json.as_ref().map_or(self.streamed.text.len(), Bytes::len) > LARGE
    }

    fn before(&self) -> EndPayloadSnapshot {
        self.snapshot()
    }

    fn restore(&mut self, before: EndPayloadSnapshot) {
        EndPayload::restore(self, before);
    }

    fn to_owned(&self) -> EndPayload<'static> {
        EndPayload::to_owned(self)
    }

    fn take_over(&mut self, owned: EndPayload<'static>) {
        EndPayload::restore(self, owned.snapshot());
    }

    fn is_changed_by(&self, copy: &EndPayload<'static>) -> bool {
        self.json != copy.json || self.headers != copy.headers
    }

    fn image(&self) -> EventImage {
        EventImage::Reply(Box::new(EndPayload::to_owned(self)))
    }

    fn failures(&self) -> (FailureKind, FailureKind) {
        (FailureKind::REPLY_REFUSED, FailureKind::REPLY_REFUSED)
    }
}

impl HookEvent for ErrorPayload<'_> {
    const HOOK: Hook = Hook::Error;
    type Owned = ErrorPayload<'static>;
    type Before = Failure;

    run!(on_llm_error, on_llm_error_async, failing);

    fn is_large(&self) -> bool {
        self.streamed.len() > LARGE
    }

    fn before(&self) -> Failure {
        self.failure.clone()
    }

    fn restore(&mut self, before: Failure) {
        self.failure = before;
    }

    fn to_owned(&self) -> ErrorPayload<'static> {
        ErrorPayload::to_owned(self)
    }

    fn take_over(&mut self, owned: ErrorPayload<'static>) {
        self.failure = owned.failure;
    }

    fn is_changed_by(&self, copy: &ErrorPayload<'static>) -> bool {
        let parts =
            |failure: &Failure| (failure.status, failure.to_json(), failure.headers.clone());
        parts(&self.failure) != parts(&copy.failure)
    }

    fn image(&self) -> EventImage {
        EventImage::Failure(Box::new(ErrorPayload::to_owned(self)))
    }

    fn failures(&self) -> (FailureKind, FailureKind) {
        (self.failure.kind, self.failure.kind)
    }
}
