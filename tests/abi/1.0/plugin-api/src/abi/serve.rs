//! The gateway's side of the boundary, made safe: implement the `…Access` traits on ordinary types
//! and get the tables; wrap a plugin's raw callback in [`LoadedCallback`] and call its hooks.
//!
//! The mock host of [`crate::testing`] and the gateway both stand on this, so what is tested
//! against the mock crosses exactly the boundary it crosses in production.

mod hosted;
mod loaded;
#[cfg(feature = "testing")]
mod local;
mod tables;

pub use hosted::{
    BoxFuture, CounterService, HostAccess, HostTables, Job, KvService, MetricsService,
};
pub use loaded::{HookFuture, LoadedCallback};
#[cfg(feature = "testing")]
pub use local::{LocalCallback, Services};
#[cfg(all(test, feature = "testing"))]
pub(super) use tables::lend_call;

use super::{ApiVersion, EditResult};
use crate::{Endpoint, FailureKind, Rejection, Reply, Route};

/// An edit's outcome on the host's side; see [`EditResult`] for the numbers that cross.
pub type Edited = Result<(), crate::EditError>;

pub(crate) fn edit_result(edited: Edited) -> EditResult {
    match edited {
        Ok(()) => EditResult::OK,
        Err(error) => error.into(),
    }
}

/// The live call, as the host lends it to one hook. Views returned from `&self` must stay valid
/// until the next `&mut self` method: lazily computed text is kept, never replaced, in between.
pub trait CallAccess {
    /// The call's id, unique in this gateway.
    fn id(&self) -> &str;
    /// Which API the client speaks.
    fn endpoint(&self) -> Endpoint;
    /// Whether the client asked for a stream.
    fn stream(&self) -> bool;
    /// The model name the client sent.
    fn requested_model(&self) -> &str;
    /// The model name as edited so far.
    fn model(&self) -> &str;
    /// Changes the model name.
    fn set_model(&mut self, model: &str) -> Edited;
    /// The label of the provider the call is planned to go to; `None` when nothing serves it.
    fn provider(&self) -> Option<&str>;
    /// The planned upstream model.
    fn upstream_model(&self) -> Option<&str>;
    /// The planned base URL.
    fn api_base(&self) -> Option<&str>;
    /// Changes where the call goes.
    fn set_route(&mut self, route: Route<'_>) -> Edited;
    /// Sets a header of the upstream request.
    fn set_upstream_header(&mut self, name: &str, value: &str) -> Edited;
    /// Drops a header a callback or the config set.
    fn remove_upstream_header(&mut self, name: &str) -> Edited;
    /// A header of the client's request.
    fn header(&self, name: &str) -> Option<&str>;
    /// How many headers there are.
    fn header_count(&self) -> usize;
    /// The header at `index`.
    fn header_at(&self, index: usize) -> Option<(&str, &str)>;
    /// The JSON text of a parameter, by dotted path.
    fn param(&self, path: &str) -> Option<&str>;
    /// Sets a parameter to a JSON value.
    fn set_param(&mut self, path: &str, json: &str) -> Edited;
    /// Removes a parameter.
    fn remove_param(&mut self, path: &str) -> Edited;
    /// How many messages there are.
    fn message_count(&self) -> usize;
    /// A message's role.
    fn message_role(&self, index: usize) -> Option<&str>;
    /// A message's text: its string content, or its text parts joined by newlines.
    fn message_text(&self, index: usize) -> Option<&str>;
    /// A message as JSON.
    fn message_json(&self, index: usize) -> Option<&str>;
    /// Replaces a message's text; other parts (images, tool calls) stay.
    fn set_message_text(&mut self, index: usize, text: &str) -> Edited;
    /// Replaces a whole message.
    fn set_message_json(&mut self, index: usize, json: &str) -> Edited;
    /// Inserts a message before `index`; at the count it is appended.
    fn insert_message(&mut self, index: usize, role: &str, text: &str) -> Edited;
    /// Removes a message.
    fn remove_message(&mut self, index: usize) -> Edited;
    /// The body with all edits so far.
    fn body(&self) -> &[u8];
    /// Replaces the body.
    fn replace_body(&mut self, body: &[u8]) -> Edited;
    /// Who called; never the key itself.
    fn key_id(&self) -> &str;
    /// A value shared along the chain.
    fn metadata(&self, key: &str) -> Option<&str>;
    /// Shares a value along the chain.
    fn set_metadata(&mut self, key: &str, value: &str) -> Edited;
    /// This callback's own note on this call.
    fn local(&self) -> &[u8];
    /// Replaces the note.
    fn set_local(&mut self, note: &[u8]) -> Edited;
    /// Milliseconds to the deadline; `None` without one.
    fn remaining_ms(&self) -> Option<u64>;
    /// Whether the client has gone.
    fn cancelled(&self) -> bool;
    /// The reason behind `Verdict::REJECT`.
    fn reject(&mut self, rejection: Rejection);
    /// The answer behind `Verdict::REPLY`.
    fn reply(&mut self, reply: Reply);
    /// The message behind `Verdict::FAULT`.
    fn fault(&mut self, message: &str);
}

/// A streamed chunk, as the host lends it.
pub trait ChunkAccess {
    /// Its position in the stream, from 0.
    fn index(&self) -> u64;
    /// The chunk's JSON.
    fn json(&self) -> &str;
    /// The text it adds; empty when it adds none.
    fn text(&self) -> &str;
    /// Replaces the JSON.
    fn set_json(&mut self, json: &str) -> Edited;
    /// Replaces the text.
    fn set_text(&mut self, text: &str) -> Edited;
    /// Keeps the chunk from the client.
    fn drop_chunk(&mut self) -> Edited;
}

/// The answer, as the host lends it.
pub trait ReplyAccess {
    /// The HTTP status the client gets.
    fn status(&self) -> u16;
    /// The body of a JSON reply; `None` after a stream.
    fn json(&self) -> Option<&str>;
    /// Replaces the body of a JSON reply.
    fn set_json(&mut self, json: &str) -> Edited;
    /// The assistant's text (the first choice's).
    fn text(&self) -> &str;
    /// Sets a response header of a JSON reply.
    fn set_header(&mut self, name: &str, value: &str) -> Edited;
    /// Why the model stopped.
    fn finish_reason(&self) -> Option<&str>;
    /// Tokens: prompt, completion, total.
    fn usage(&self) -> [Option<u64>; 3];
    /// Nanoseconds: since the call was accepted, in the upstream, to the first token.
    fn durations(&self) -> [Option<u64>; 3];
    /// Whether a callback answered instead of an upstream.
    #[expect(clippy::wrong_self_convention, reason = "a question about the reply, no conversion")]
    fn from_callback(&self) -> bool;
}

/// A failure, as the host lends it.
pub trait FailureAccess {
    /// What went wrong.
    fn kind(&self) -> FailureKind;
    /// The status the client gets.
    fn status(&self) -> u16;
    /// The error object's code.
    fn code(&self) -> &str;
    /// What the client is told.
    fn message(&self) -> &str;
    /// Changes the status, while nothing is sent.
    fn set_status(&mut self, status: u16) -> Edited;
    /// Changes the message, while nothing is sent.
    fn set_message(&mut self, message: &str) -> Edited;
    /// Whether the client already has the head of the answer.
    fn sent(&self) -> bool;
    /// What was streamed before it failed.
    fn text(&self) -> &str;
    /// Tokens: prompt, completion, total, as far as the upstream told before it failed.
    fn usage(&self) -> [Option<u64>; 3];
    /// Nanoseconds: since the call was accepted, in the upstream, to the first token.
    fn durations(&self) -> [Option<u64>; 3];
    /// The callback that refused or broke, if one did.
    fn callback(&self) -> Option<&str>;
}

/// Whether a plugin built against `plugin` may run in a gateway that speaks `host`.
#[must_use]
pub fn majors_match(host: ApiVersion, plugin: ApiVersion) -> bool {
    host.major == plugin.major
}
