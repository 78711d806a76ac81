//! One request in flight: what the client sent, what callbacks made of it, where it goes.
//!
//! Plain data with rules, no I/O. `server::chat` makes it, `callbacks` lends it to plugins,
//! `provider` translates it, `upstream` never sees it.

mod edits;
mod messages;
mod params;
mod places;
mod target;

pub(crate) use edits::{Jottings, Snapshot, set_header, valid_header};
pub(crate) use target::{RouteEdit, Target};

use crate::json::Body;
use elsa::FrozenVec;
use http::{HeaderMap, HeaderName, HeaderValue};
use messages::Messages;
use places::Places;
use plugin_api::Endpoint;
use smallvec::SmallVec;
use std::{cell::OnceCell, fmt, sync::Arc, time::Instant};

/// See the module. A clone is for a hook that may be left behind: what that does with it is taken
/// over as a whole, or not at all.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) stream: bool,
    /// The name the client sent; never changes.
    pub(crate) requested_model: String,
    pub(crate) headers: HeaderMap,
    /// The header that the operator named for keys.
    pub(crate) key_header: Option<HeaderName>,
    /// Who called; never the key.
    pub(crate) key_id: Arc<str>,
    pub(crate) accepted: Instant,
    /// When the upstream has to have begun to answer; set once the call is sent.
    pub(crate) deadline: Option<Instant>,
    pub(crate) body: Body,
    /// How many callbacks of the chain let the call pass, from the first: the ones that are owed
    /// an `on_llm_end` or `on_llm_error`.
    pub(crate) passed: usize,
    /// How many of those have been paid, from the first.
    pub(crate) paid: usize,
    /// The callbacks that have nothing to do with this call.
    pub(crate) left_out: Places,
    /// The callbacks that were left alone for their faults, and are tried with this call.
    pub(crate) trying: Places,
    pub(crate) client_gone: bool,
    /// Whether an upstream was asked, or tried to be.
    pub(crate) asked: bool,
    /// Bytes callbacks put into the body so far.
    edited: usize,
    /// Streamed chunks shown to callbacks so far.
    chunks: u64,
    /// Headers callbacks set for the upstream.
    pub(crate) upstream_headers: Vec<(HeaderName, HeaderValue)>,
    model: Option<String>,
    route: RouteEdit,
    /// Where the call goes as things stand; forgotten when something that decides it changes.
    planned: OnceCell<Option<Target>>,
    messages: OnceCell<Messages>,
    metadata: Vec<(Box<str>, Box<str>)>,
    /// Each callback's own note, by its place in the chain.
    notes: SmallVec<[SmallVec<[u8; 24]>; 4]>,
    /// Texts that were computed for a view; kept until the next edit at least.
    kept: Kept,
}

/// A clone of the call has no views yet.
#[derive(Default)]
struct Kept(FrozenVec<Box<str>>);

impl Clone for Kept {
    fn clone(&self) -> Self {
        Self::default()
    }
}

/// What is known of a call once its body has been scanned.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) id: String,
    pub(crate) endpoint: Endpoint,
    pub(crate) requested_model: String,
    pub(crate) stream: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) key_header: Option<HeaderName>,
    pub(crate) key_id: Arc<str>,
    pub(crate) accepted: Instant,
    pub(crate) body: Body,
}

/// Its id is all a log may show of a call.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Call {
    pub(crate) fn new(accepted: Accepted) -> Self {
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
            left_out: Places::default(),
            trying: Places::default(),
            client_gone: false,
            asked: false,
            edited: 0,
            chunks: 0,
            upstream_headers: Vec::new(),
            model: None,
            route: RouteEdit::default(),
            planned: OnceCell::new(),
            messages: OnceCell::new(),
            metadata: Vec::new(),
            notes: SmallVec::new(),
            kept: Kept::default(),
        }
    }

    /// The model name as callbacks left it.
    pub(crate) fn model(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.requested_model)
    }

    /// Counts a streamed chunk; its place in the stream.
    pub(crate) fn next_chunk(&mut self) -> u64 {
        self.chunks += 1;
        self.chunks - 1
    }

    /// The messages, cut when first asked for.
    fn messages(&self) -> &Messages {
        self.messages
            .get_or_init(|| Messages::cut(&self.body.member_bytes("messages").unwrap_or_default()))
    }

    /// A parameter's JSON by dotted path.
    pub(crate) fn param(&self, path: &str) -> Option<&str> {
        Some(match params::read(&self.body, path)? {
            params::Param::Member(text) => text,
            params::Param::Nested(text) => self.keep(text),
        })
    }

    /// Keeps a computed text for as long as views of it may live.
    pub(crate) fn keep(&self, text: String) -> &str {
        self.kept.0.push_get(text.into())
    }

    pub(crate) fn message_count(&self) -> usize {
        self.messages().len()
    }

    pub(crate) fn message_role(&self, index: usize) -> Option<&str> {
        self.messages().role(index)
    }

    pub(crate) fn message_text(&self, index: usize) -> Option<&str> {
        self.messages().text(index)
    }

    pub(crate) fn message_json(&self, index: usize) -> Option<&str> {
        self.messages().json(index)
    }

    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(name, _)| **name == *key).map(|(_, value)| &**value)
    }

    /// All of what callbacks shared.
    pub(crate) fn all_metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The note of the callback at `place`.
    pub(crate) fn note(&self, place: usize) -> &[u8] {
        self.notes.get(place).map_or(&[], |note| note)
    }
}
