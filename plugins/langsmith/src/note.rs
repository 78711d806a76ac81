//! What a hook keeps of a call: copies of what the host lends only until the hook returns. Cheap,
//! for a call waits for it; everything else is done in the task.

use plugin_api::{CallView, FailureKind, LlmFailure, LlmReply};
use std::time::Duration;
use uuid::Uuid;

/// One call that has ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Note {
    /// The run's, the same at every attempt to send it.
    pub(crate) id: Uuid,
    pub(crate) call_id: String,
    pub(crate) requested_model: String,
    pub(crate) upstream_model: String,
    pub(crate) provider: String,
    pub(crate) api_base: String,
    pub(crate) key_id: String,
    pub(crate) stream: bool,
    /// The request's body.
    pub(crate) body: Vec<u8>,
    /// The client's `metadata` as it was at the start; empty without one.
    pub(crate) metadata: Vec<u8>,
    /// A JSON reply; empty when it was streamed or there is none.
    pub(crate) reply: String,
    /// What was streamed.
    pub(crate) text: String,
    pub(crate) finish_reason: Option<String>,
    pub(crate) tokens: Tokens,
    /// Milliseconds since 1970.
    pub(crate) ended_ms: u64,
    pub(crate) duration: Duration,
    /// From the start to the first of it.
    pub(crate) first_token: Option<Duration>,
    pub(crate) failure: Option<Failed>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tokens {
    pub(crate) prompt: u64,
    pub(crate) completion: u64,
    pub(crate) total: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Failed {
    pub(crate) status: u16,
    pub(crate) class: &'static str,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Note {
    fn of_call(call: &CallView<'_>, ended_ms: u64) -> Self {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        Self {
            call_id: call.id().to_owned(),
            requested_model: call.requested_model().to_owned(),
            upstream_model: text(call.upstream_model()),
            provider: text(call.provider()),
            api_base: text(call.api_base()),
            key_id: call.key_id().to_owned(),
            stream: call.stream(),
            body: call.body().to_vec(),
            metadata: call.local().to_vec(),
            ended_ms,
            ..Self::default()
        }
    }

    pub(crate) fn of_reply(call: &CallView<'_>, reply: &LlmReply<'_>, ended_ms: u64) -> Self {
        let json = reply.json();
        // A JSON reply holds its text.
        let text = if json.is_none() { reply.text() } else { "" };
        let (prompt, completion) =
            (reply.prompt_tokens().unwrap_or(0), reply.completion_tokens().unwrap_or(0));
        Self {
            reply: json.unwrap_or_default().to_owned(),
            text: text.to_owned(),
            finish_reason: reply.finish_reason().map(str::to_owned),
            tokens: Tokens {
                prompt,
                completion,
                total: reply.total_tokens().unwrap_or_else(|| prompt.saturating_add(completion)),
            },
            duration: reply.duration(),
            first_token: reply.time_to_first_token(),
            ..Self::of_call(call, ended_ms)
        }
    }

    pub(crate) fn of_failure(call: &CallView<'_>, failure: &LlmFailure<'_>, ended_ms: u64) -> Self {
        let failed = Failed {
            status: failure.status(),
            class: class(failure.kind()),
            code: failure.code().to_owned(),
            message: failure.message().to_owned(),
        };
        Self {
            text: failure.text().to_owned(),
            duration: failure.duration(),
            failure: Some(failed),
            ..Self::of_call(call, ended_ms)
        }
    }

    /// About as much memory as it takes, and a little less than it will be on the wire.
    pub(crate) fn size(&self) -> usize {
        const REST: usize = 1024;
        self.body.len() + self.metadata.len() + self.reply.len() + self.text.len() + REST
    }
}

fn class(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::REJECTED => "Rejected",
        FailureKind::INVALID => "BadRequestError",
        FailureKind::UPSTREAM_STATUS => "APIStatusError",
        FailureKind::UPSTREAM_UNREACHABLE => "APIConnectionError",
        FailureKind::TIMEOUT => "Timeout",
        FailureKind::BROKEN_STREAM => "MidStreamError",
        FailureKind::CLIENT_GONE => "ClientDisconnected",
        FailureKind::REPLY_REFUSED => "ReplyRefused",
        _ => "InternalError",
    }
}
