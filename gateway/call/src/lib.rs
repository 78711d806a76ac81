//! One call: the client's request, callbacks' edits of it, and its deployment.
//!
//! Plain data with rules, without I/O. `server::chat` creates it, `callbacks` lends it to plugins,
//! `providers` translates it; `upstream` never sees it.

#![forbid(unsafe_code)]

mod call_id;
mod callback_header;
mod callback_set;
mod caller;
mod described_caller;
mod edits;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod key_holder;
mod messages;
mod metadata;
mod params;
#[cfg(test)]
mod proportion;
mod readable;
mod reading;
mod records;
mod response_facts;
#[cfg(any(test, feature = "fuzzing"))]
mod sample;
mod settling;
mod target;
mod unreadable;

pub use call_id::CallId;
pub use callback_header::{set_header, valid_header};
pub use caller::Caller;
pub use described_caller::CallerProblem;
pub use edits::{EditsSnapshot, HookState};
pub use key_holder::KeyHolder;
pub(crate) use reading::Reading;
pub use records::Records;
pub use response_facts::{ResponseFacts, ResponseSlot};
pub(crate) use target::RouteEdit;
pub use target::Target;
pub(crate) use unreadable::Unreadable;

use bytes::Bytes;
use callback_set::CallbackSet;
use callgate_json::Body;
use callgate_providers::CallKind;
use http::{HeaderMap, HeaderName, HeaderValue};
use messages::Messages;
use metadata::Metadata;
use smallvec::SmallVec;
use std::{borrow::Cow, cell::OnceCell, fmt, sync::Arc, time::Instant};

/// A call. A hook that can time out works on a clone, which is committed whole or dropped.
#[derive(Clone)]
pub struct Call {
    pub id: CallId,
    pub kind: CallKind,
    pub stream: bool,
    /// The model name that the client sent; never changes.
    pub requested_model: Arc<str>,
    pub headers: HeaderMap,
    /// The path of the request.
    pub path: Cow<'static, str>,
    /// The operator's own header for keys.
    pub key_header: Option<HeaderName>,
    /// Whose key the client sent.
    pub caller: Arc<Caller>,
    /// The entry of the callback that makes the call itself; none of its hooks run.
    pub made_by: Option<Arc<str>>,
    pub accepted: Instant,
    /// When the upstream's response has to begin; set once the request is sent.
    pub deadline: Option<Instant>,
    pub body: Body,
    /// The number of callbacks, from the first, that let the call pass. Each of them gets exactly
    /// one `on_llm_end` or `on_llm_error`.
    pub passed: usize,
    /// The number of those, from the first, whose last hook has begun.
    pub paid: usize,
    /// The callbacks that skip this call.
    pub left_out: CallbackSet,
    /// The callbacks for which this call is the breaker's probe.
    pub trying: CallbackSet,
    pub client_gone: bool,
    /// Whether a request to an upstream was attempted.
    pub asked: bool,
    /// The bytes that callbacks added to the body so far.
    edited: usize,
    /// The number of streamed chunks shown to callbacks so far.
    chunks: u64,
    /// Headers for the upstream, set by callbacks.
    pub upstream_headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers for the client's response, set by callbacks.
    pub reply_headers: Vec<(HeaderName, HeaderValue)>,
    /// The upstream's response, if a callback may ask for it.
    pub upstream_response: Option<ResponseSlot>,
    /// Empty unless an entry records calls.
    pub records: Records,
    model: Option<String>,
    route: RouteEdit,
    /// The deployment as the call stands; cleared by edits that may change it.
    planned: OnceCell<Option<Target>>,
    /// The parsed body below its top level, once a callback reads it.
    reading: OnceCell<Reading>,
    /// An edit that failed because of the client's own text.
    refused_edit: Option<Unreadable>,
    metadata: Metadata,
    /// Each callback's own note, by its position in the chain.
    notes: SmallVec<[SmallVec<[u8; 24]>; 4]>,
    /// The body with all edits, once a callback asks for it; cleared by the next edit.
    rendered: OnceCell<Bytes>,
}

/// The facts about a call once its body has been scanned.
#[derive(Debug)]
pub struct Accepted {
    pub id: CallId,
    pub kind: CallKind,
    pub requested_model: Arc<str>,
    pub stream: bool,
    pub headers: HeaderMap,
    pub path: Cow<'static, str>,
    pub key_header: Option<HeaderName>,
    pub caller: Arc<Caller>,
    pub accepted: Instant,
    pub body: Body,
}

/// Shows only the id, because a log must show no more of a call.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Call {
    pub fn new(accepted: Accepted) -> Self {
        Self {
            id: accepted.id,
            kind: accepted.kind,
            stream: accepted.stream,
            requested_model: accepted.requested_model,
            headers: accepted.headers,
            path: accepted.path,
            key_header: accepted.key_header,
            caller: accepted.caller,
            made_by: None,
            accepted: accepted.accepted,
            deadline: None,
            body: accepted.body,
            passed: 0,
            paid: 0,
            left_out: CallbackSet::default(),
            trying: CallbackSet::default(),
            client_gone: false,
            asked: false,
            edited: 0,
            chunks: 0,
            upstream_headers: Vec::new(),
            reply_headers: Vec::new(),
            upstream_response: None,
            records: Records::default(),
            model: None,
            route: RouteEdit::default(),
            planned: OnceCell::new(),
            reading: OnceCell::new(),
            refused_edit: None,
            metadata: Metadata::default(),
            notes: SmallVec::new(),
            rendered: OnceCell::new(),
        }
    }

    /// The model name after callbacks' edits.
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.requested_model)
    }

    /// Counts a streamed chunk; returns its index.
    pub fn next_chunk(&mut self) -> u64 {
        self.chunks += 1;
        self.chunks - 1
    }

    /// A parameter's JSON by dotted path.
    pub fn param(&self, path: &str) -> Option<&str> {
        let (name, nested) = path.split_once('.').unwrap_or((path, ""));
        if name == "messages" && self.messages().is_some_and(Messages::is_edited) {
            return params::within(self.body_text(), path);
        }
        let member = self.body.member_text(name)?;
        if member.starts_with(['{', '[']) {
            self.messages()?;
        }
        if nested.is_empty() && name.len() == path.len() {
            return Some(member);
        }
        params::within(member, nested)
    }

    pub fn message_count(&self) -> usize {
        self.messages().map_or(0, Messages::len)
    }

    pub fn message_role(&self, index: usize) -> Option<&str> {
        self.messages()?.role(index)
    }

    pub fn message_text(&self, index: usize) -> Option<&str> {
        self.messages()?.text(index)
    }

    pub fn message_json(&self, index: usize) -> Option<&str> {
        self.messages()?.json(index)
    }

    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key)
    }

    /// All metadata that callbacks set.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter()
    }

    /// The note of the callback at position `place`.
    pub fn note(&self, place: usize) -> &[u8] {
        self.notes.get(place).map_or(&[], |note| note)
    }
}
