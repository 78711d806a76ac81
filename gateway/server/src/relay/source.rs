//! Where the bytes of a stream come from: an upstream, or a callback that answers the call itself.

use super::super::fault;
use bytes::Bytes;
use callgate_callbacks::ReplyStreamReader;
use callgate_failure::{Failure, Form};
use callgate_providers::AnswerFault;
use callgate_upstream::{UpstreamError, UpstreamResponse};
use std::{sync::Arc, time::Duration};

/// The time a complete response has to end on the wire before its connection is closed.
const RELEASE_TIME: Duration = Duration::from_secs(1);

/// The source of a stream.
#[expect(clippy::large_enum_variant, reason = "a box would be an allocation for every stream")]
pub(crate) enum StreamSource {
    Upstream(UpstreamResponse),
    Callback(CallbackStream),
}

/// A stream that a callback writes.
pub(crate) struct CallbackStream {
    pub(crate) by: Arc<str>,
    pub(crate) reader: ReplyStreamReader,
}

impl StreamSource {
    /// The next bytes; `None` at the end. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        match self {
            Self::Upstream(response) => response.next().await,
            Self::Callback(stream) => stream.reader.next().await.map(Ok),
        }
    }

    /// As [`StreamSource::next`], from what is there: `None` if there is nothing.
    pub(super) fn ready(&mut self) -> Option<Option<Result<Bytes, UpstreamError>>> {
        match self {
            Self::Upstream(response) => response.ready(),
            Self::Callback(stream) => Some(stream.reader.ready()?.map(Ok)),
        }
    }

    /// The failure of a stream that is not a completion.
    pub(super) fn failure(&self, fault: AnswerFault) -> Failure {
        match self {
            Self::Upstream(_) => fault::failure(fault, Form::Stream),
            Self::Callback(stream) => stream.failure(fault),
        }
    }

    /// The failure of a stream that kept its client waiting.
    pub(super) fn late(&self, waits: &super::Waits) -> Failure {
        match self {
            Self::Upstream(_) => waits.over(),
            Self::Callback(stream) => stream.late(waits.gap()),
        }
    }
}

impl CallbackStream {
    /// The failure of a stream that is not a completion.
    pub(crate) fn failure(&self, fault: AnswerFault) -> Failure {
        let how = match fault {
            fault @ AnswerFault::Upstream(_) => return fault::failure(fault, Form::Stream),
            AnswerFault::Incomplete(how) | AnswerFault::Malformed(how) => how,
            AnswerFault::Other(_) => "it has no chunk".to_owned(),
        };
        Failure::callbacks_stream_is_broken(&self.by, &how)
    }

    pub(crate) fn late(&self, limit: Duration) -> Failure {
        Failure::callbacks_stream_is_late(&self.by, limit)
    }
}

/// Reads a complete response to its end on the wire, so that its connection can be reused. If it
/// sends more or stays open, it is closed.
pub(super) fn release(mut answer: UpstreamResponse) {
    if let Some(None | Some(Err(_))) = answer.ready() {
        return;
    }
    tokio::spawn(async move {
        let _ = tokio::time::timeout(RELEASE_TIME, answer.next()).await;
    });
}
