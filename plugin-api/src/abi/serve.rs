//! A safe interface to the gateway's side of the boundary. Types that implement the `…Access`
//! traits get the tables. [`LoadedCallback`] wraps a plugin's raw callback and calls its hooks. The
//! gateway and the mock host of [`crate::testing`] both use it, so tests cross the same boundary as
//! production.

mod auth;
mod hosted;
mod loaded;
#[cfg(feature = "testing")]
mod local;
mod model_list;
mod tables;

use super::{ApiVersion, EditResult};
use crate::{Endpoint, FailureKind, Rejection, Reply, Route};
pub use auth::AuthAccess;
pub use hosted::{
    BoxFuture, CounterService, EntryService, HostAccess, HostTables, Job, KvService,
    MetricsService, Page,
};
pub use loaded::{HookFuture, LoadedCallback};
#[cfg(feature = "testing")]
pub use local::{LocalCallback, Services};
pub use model_list::ModelListAccess;
#[cfg(all(test, feature = "testing"))]
pub(super) use tables::lend_call;
pub use tables::{ReplyPart, ReplySink};

/// The outcome of an edit on the host's side. [`EditResult`] has the numbers that cross.
pub type Edited = Result<(), crate::EditError>;

pub(crate) fn edit_result(edited: Edited) -> EditResult {
    match edited {
        Ok(()) => EditResult::OK,
        Err(error) => error.into(),
    }
}

/// The call, as the host lends it to one hook. A reference returned from `&self` must stay valid
/// until the next `&mut self` method, so text that is computed lazily must be cached and not
/// replaced.
pub trait CallAccess {
    /// The call's id, unique in this gateway.
    fn id(&self) -> &str;
    /// The API that the client uses.
    fn endpoint(&self) -> Endpoint;
    /// Whether the client asked for a stream.
    fn stream(&self) -> bool;
    /// The model name the client sent.
    fn requested_model(&self) -> &str;
    /// The model name with the edits so far.
    fn model(&self) -> &str;
    /// Changes the model name.
    fn set_model(&mut self, model: &str) -> Edited;
    /// The label of the planned provider; `None` if nothing serves the model.
    fn provider(&self) -> Option<&str>;
    /// The planned upstream model.
    fn upstream_model(&self) -> Option<&str>;
    /// The planned base URL.
    fn api_base(&self) -> Option<&str>;
    /// Changes the destination.
    fn set_route(&mut self, route: Route<'_>) -> Edited;
    /// Sets a header of the upstream request.
    fn set_upstream_header(&mut self, name: &str, value: &str) -> Edited;
    /// Removes a header that a callback set.
    fn remove_upstream_header(&mut self, name: &str) -> Edited;
    /// A header of the client's request.
    fn header(&self, name: &str) -> Option<&str>;
    /// The number of the client's headers.
    fn header_count(&self) -> usize;
    /// The header at `index`.
    fn header_at(&self, index: usize) -> Option<(&str, &str)>;
    /// The JSON text of a parameter, by dotted path.
    fn param(&self, path: &str) -> Option<&str>;
    /// Sets a parameter to a JSON value.
    fn set_param(&mut self, path: &str, json: &str) -> Edited;
    /// Removes a parameter.
    fn remove_param(&mut self, path: &str) -> Edited;
    /// The number of messages.
    fn message_count(&self) -> usize;
    /// A message's role.
    fn message_role(&self, index: usize) -> Option<&str>;
    /// A message's text: its string content, or the texts of its parts joined with newlines.
    fn message_text(&self, index: usize) -> Option<&str>;
    /// A message as JSON.
    fn message_json(&self, index: usize) -> Option<&str>;
    /// Replaces a message's text; other parts (images, tool calls) stay.
    fn set_message_text(&mut self, index: usize, text: &str) -> Edited;
    /// Replaces a whole message.
    fn set_message_json(&mut self, index: usize, json: &str) -> Edited;
    /// Inserts a message before `index`, or appends it if `index` is the number of messages.
    fn insert_message(&mut self, index: usize, role: &str, text: &str) -> Edited;
    /// Removes a message.
    fn remove_message(&mut self, index: usize) -> Edited;
    /// The body with all edits so far.
    fn body(&self) -> &[u8];
    /// Replaces the body.
    fn replace_body(&mut self, body: &[u8]) -> Edited;
    /// The id of the client's key, never the key itself.
    fn key_id(&self) -> &str;
    /// A value shared along the chain.
    fn metadata(&self, key: &str) -> Option<&str>;
    /// Shares a value along the chain.
    fn set_metadata(&mut self, key: &str, value: &str) -> Edited;
    /// This callback's own note on this call.
    fn local(&self) -> &[u8];
    /// Replaces the note.
    fn set_local(&mut self, note: &[u8]) -> Edited;
    /// Milliseconds until the call's timeout; `None` without one.
    fn remaining_ms(&self) -> Option<u64>;
    /// Whether the client has disconnected.
    fn cancelled(&self) -> bool;
    /// Sets a header of the client's response, whatever the outcome.
    fn set_reply_header(&mut self, name: &str, value: &str) -> Edited;
    /// Opens a stream as the answer; `None` if the hook cannot answer.
    fn reply_stream(&mut self) -> Option<Box<dyn ReplySink>>;
    /// Takes the content of `Verdict::REJECT`.
    fn reject(&mut self, rejection: Rejection);
    /// Takes the content of `Verdict::REPLY`.
    fn reply(&mut self, reply: Reply);
    /// Takes the content of `Verdict::FAULT`.
    fn fault(&mut self, message: &str);
}

/// A streamed chunk, as the host lends it.
pub trait ChunkAccess {
    /// Its position in the stream, from 0.
    fn index(&self) -> u64;
    /// The chunk's JSON.
    fn json(&self) -> &str;
    /// The text that it adds; may be empty.
    fn text(&self) -> &str;
    /// Replaces the JSON.
    fn set_json(&mut self, json: &str) -> Edited;
    /// Replaces the text.
    fn set_text(&mut self, text: &str) -> Edited;
    /// Drops the chunk.
    fn drop_chunk(&mut self) -> Edited;
    /// The index of the choice that the text belongs to.
    fn choice(&self) -> Option<u64>;
    /// Sends a chunk with this text after this one.
    fn emit_text(&mut self, text: &str) -> Edited;
    /// Sends this chunk after this one.
    fn emit_json(&mut self, json: &str) -> Edited;
    /// Keeps the last bytes of the text for the choice's next chunk.
    fn hold_back(&mut self, bytes: usize) -> Edited;
    /// The bytes at the beginning of the text that this callback held back.
    fn held(&self) -> usize;
    /// Whether nothing can be held back any longer.
    fn is_last(&self) -> bool;
}

/// The answer, as the host lends it.
pub trait ReplyAccess {
    /// The HTTP status the client gets.
    fn status(&self) -> u16;
    /// The body of a JSON reply; `None` after a stream.
    fn json(&self) -> Option<&str>;
    /// Replaces the body of a JSON reply.
    fn set_json(&mut self, json: &str) -> Edited;
    /// The assistant's text, of the first choice.
    fn text(&self) -> &str;
    /// Sets a response header of a JSON reply.
    fn set_header(&mut self, name: &str, value: &str) -> Edited;
    /// The finish reason.
    fn finish_reason(&self) -> Option<&str>;
    /// Tokens: prompt, completion, total.
    fn usage(&self) -> [Option<u64>; 3];
    /// Nanoseconds: since the call was accepted, that the upstream took, until the first token.
    fn durations(&self) -> [Option<u64>; 3];
    /// Whether a callback answered instead of an upstream.
    #[expect(clippy::wrong_self_convention, reason = "a question about the reply, no conversion")]
    fn from_callback(&self) -> bool;
    /// The whole completion as JSON; of a stream only if the callback's manifest asks for it.
    fn completion(&self) -> Option<&str>;
}

/// A failure, as the host lends it.
pub trait FailureAccess {
    /// The reason for the failure.
    fn kind(&self) -> FailureKind;
    /// The error's status.
    fn status(&self) -> u16;
    /// The error object's code.
    fn code(&self) -> &str;
    /// The error object's message.
    fn message(&self) -> &str;
    /// Changes the status, unless something was sent already.
    fn set_status(&mut self, status: u16) -> Edited;
    /// Changes the message, unless something was sent already.
    fn set_message(&mut self, message: &str) -> Edited;
    /// Whether the client already got the head of a response, or has disconnected.
    fn sent(&self) -> bool;
    /// The text that was streamed before the failure.
    fn text(&self) -> &str;
    /// Tokens: prompt, completion, total, if the upstream reported them before the failure.
    fn usage(&self) -> [Option<u64>; 3];
    /// Nanoseconds: since the call was accepted, that the upstream took, until the first token.
    fn durations(&self) -> [Option<u64>; 3];
    /// The callback that rejected the call or failed, if one did.
    fn callback(&self) -> Option<&str>;
    /// The error object's type.
    fn error_type(&self) -> &str;
    /// Changes the type, unless something was sent already.
    fn set_type(&mut self, error_type: &str) -> Edited;
    /// Changes the code, unless something was sent already.
    fn set_code(&mut self, code: &str) -> Edited;
    /// Sets a header of the error response, unless something was sent already.
    fn set_header(&mut self, name: &str, value: &str) -> Edited;
}

/// Returns whether a plugin built against `plugin` may run in a gateway with the contract `host`.
#[must_use]
pub fn majors_match(host: ApiVersion, plugin: ApiVersion) -> bool {
    host.major == plugin.major
}
