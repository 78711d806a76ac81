//! Translates large events of a stream outside the worker, whose other calls would have to wait.

use super::outbox::Outbox;
use bytes::Bytes;
use callgate_callbacks::offload::offload;
use callgate_failure::Failure;
use callgate_json::LARGE;
use callgate_providers::{AnswerFault, ChunkSink as _, StreamTranslator};
use std::{future::Future, pin::Pin};

/// Work in progress. A caller may stop waiting for it and resume later.
pub(super) type Beside = Pin<Box<dyn Future<Output = Result<Done, Failure>> + Send>>;

/// The result of the work.
pub(super) struct Done {
    pub(super) translator: Box<dyn StreamTranslator>,
    pub(super) out: Outbox,
    pub(super) outcome: Result<(), AnswerFault>,
    pub(super) closed: bool,
}

/// Whether the next bytes, or the end, complete an event too long for the worker.
pub(super) fn is_large(translator: &dyn StreamTranslator, next: Option<&Bytes>) -> bool {
    let backlog = translator.backlog();
    match next {
        None => backlog > LARGE,
        Some(bytes) => {
            backlog + bytes.len() > LARGE && memchr::memchr2(b'\n', b'\r', bytes).is_some()
        }
    }
}

/// Translates the next bytes, or the end.
pub(super) fn translate(
    mut translator: Box<dyn StreamTranslator>,
    next: Option<Bytes>,
    mut out: Outbox,
) -> Beside {
    Box::pin(offload(move || {
        let outcome = match &next {
            Some(bytes) => translator.push(bytes, &mut out),
            None => translator.close(&mut out),
        };
        Done { translator, out, outcome, closed: next.is_none() }
    }))
}

/// Makes a frame of a large chunk that callbacks have seen.
pub(super) async fn framed(json: String, mut out: Outbox) -> Result<Outbox, Failure> {
    offload(move || {
        out.chunk(&[json.as_bytes()]);
        out
    })
    .await
}
