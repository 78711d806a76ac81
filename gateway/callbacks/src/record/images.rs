//! Copies of what a hook sees, taken on the call's thread.

use crate::payload::{ChunkPayload, EndPayload, ErrorPayload};
use callgate_call::{Call, Records};
use callgate_deployments::Deployments;
use std::{fmt, sync::Arc};

/// The data of a hook beside the call.
#[derive(Debug)]
pub(crate) enum EventImage {
    Nothing,
    Chunk(ChunkPayload),
    Reply(Box<EndPayload<'static>>),
    Failure(Box<ErrorPayload<'static>>),
}

impl EventImage {
    /// About the bytes that it holds.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Chunk(chunk) => chunk.json.len(),
            Self::Reply(reply) => {
                let json = reply.json.as_ref().or(reply.completion.as_ref());
                json.map_or(0, bytes::Bytes::len) + reply.streamed.text.len()
            }
            Self::Failure(failing) => failing.failure.message.len() + failing.streamed.len(),
        }
    }
}

/// A call at one moment.
pub(super) struct CallImage {
    pub(super) call: Call,
    pub(super) deployments: Arc<Deployments>,
}

impl CallImage {
    pub(super) fn of(call: &Call, deployments: &Arc<Deployments>) -> Self {
        let mut call = call.clone();
        // An image that held its own record would keep it forever.
        call.records = Records::default();
        Self { call, deployments: Arc::clone(deployments) }
    }

    pub(super) fn size(&self) -> usize {
        self.call.body_text().len()
    }
}

impl fmt::Debug for CallImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

/// What may change between two hooks of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Circumstances {
    pub(super) metadata: Vec<(String, String)>,
    pub(super) asked: bool,
    pub(super) client_gone: bool,
    /// The status and headers of the upstream's response, if the callback may ask for them.
    pub(super) response: Option<(String, String)>,
}

impl Circumstances {
    pub(super) fn of(call: &Call) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let response = call.upstream_response.as_ref().and_then(|slot| slot.get());
        Self {
            metadata: call.all_metadata().map(owned).collect(),
            asked: call.asked,
            client_gone: call.client_gone,
            response: response.map(|it| (it.status().to_owned(), it.headers_json().to_owned())),
        }
    }
}
