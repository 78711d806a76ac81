//! One request in flight: what the client sent, what callbacks made of it, where it goes.
//!
//! Plain data with rules, no I/O. `server::chat` makes it, `callbacks` lends it to plugins,
//! `providers` translates it, `upstream` never sees it.

#![forbid(unsafe_code)]

mod callback_set;
mod edits;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod messages;
mod metadata;
mod params;
#[cfg(test)]
mod proportion;
mod reading;
#[cfg(any(test, feature = "fuzzing"))]
mod sample;
mod settling;
mod target;

pub use edits::{EditsSnapshot, HookState, set_header, valid_header};
pub(crate) use reading::{Reading, Unreadable};
pub(crate) use target::RouteEdit;
pub use target::Target;

use bytes::Bytes;
use callback_set::CallbackSet;
use callgate_json::Body;
use http::{HeaderMap, HeaderName, HeaderValue};
use messages::Messages;
use metadata::Metadata;
use plugin_api::Endpoint;
use smallvec::SmallVec;
use std::{cell::OnceCell, fmt, sync::Arc, time::Instant};

/// See the module. A clone is for a hook that may be left behind: what that does with it is taken
/// over as a whole, or not at all.
#[derive(Clone)]
pub struct Call {
    pub id: String,
    pub endpoint: Endpoint,
    pub stream: bool,
    /// The name the client sent; never changes.
    pub requested_model: String,
    pub headers: HeaderMap,
    /// The header that the operator named for keys.
    pub key_header: Option<HeaderName>,
    /// Who called; never the key.
    pub key_id: Arc<str>,
    pub accepted: Instant,
    /// When the upstream has to have begun to answer; set once the call is sent.
    pub deadline: Option<Instant>,
    pub body: Body,
    /// How many callbacks of the chain let the call pass, from the first: the ones that are owed
    /// an `on_llm_end` or `on_llm_error`.
    pub passed: usize,
    /// How many of those have been paid, from the first.
    pub paid: usize,
    /// The callbacks that have nothing to do with this call.
    pub left_out: CallbackSet,
    /// The callbacks that were left alone for their faults, and are tried with this call.
    pub trying: CallbackSet,
    pub client_gone: bool,
    /// Whether an upstream was asked, or tried to be.
    pub asked: bool,
    /// Bytes callbacks put into the body so far.
    edited: usize,
    /// Streamed chunks shown to callbacks so far.
    chunks: u64,
    /// Headers callbacks set for the upstream.
    pub upstream_headers: Vec<(HeaderName, HeaderValue)>,
    model: Option<String>,
    route: RouteEdit,
    /// Where the call goes as things stand; forgotten when something that decides it changes.
    planned: OnceCell<Option<Target>>,
    /// The body below its top level, once somebody reads it.
    reading: OnceCell<Reading>,
    /// An edit that the client's own text did not allow.
    refused_edit: Option<Unreadable>,
    metadata: Metadata,
    /// Each callback's own note, by its place in the chain.
    notes: SmallVec<[SmallVec<[u8; 24]>; 4]>,
    /// The body with all edits, when somebody asked for it; forgotten with the next edit.
    rendered: OnceCell<Bytes>,
}

/// What is known of a call once its body has been scanned.
#[derive(Debug)]
pub struct Accepted {
    pub id: String,
    pub endpoint: Endpoint,
    pub requested_model: String,
    pub stream: bool,
    pub headers: HeaderMap,
    pub key_header: Option<HeaderName>,
    pub key_id: Arc<str>,
    pub accepted: Instant,
    pub body: Body,
}

/// Its id is all a log may show of a call.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Call {
    pub fn new(accepted: Accepted) -> Self {
        Self {
            id: accepted.id,
            endpoint: accepted.endpoint,
            stream: accepted.stream,
            requested_model: accepted.requested_model,
            headers: accepted.headers,
            key_header: accepted.key_header,
            key_id: accepted.key_id,
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

    /// The model name as callbacks left it.
    pub fn model(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.requested_model)
    }

    /// Counts a streamed chunk; its place in the stream.
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

    /// All of what callbacks shared.
    pub fn all_metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter()
    }

    /// The note of the callback at `place`.
    pub fn note(&self, place: usize) -> &[u8] {
        self.notes.get(place).map_or(&[], |note| note)
    }
}
