//! The call as it crosses the boundary: handles, and the tables of accessors behind them. The
//! gateway implements the tables (through [`super::serve`]), and a plugin calls them. No accessor
//! blocks. A handle is valid for one hook; views follow the rule of [`View`].

use super::{EditResult, View};
use abi_stable::{
    StableAbi,
    std_types::{ROption, RString},
};
use async_ffi::FfiFuture;

/// The call, lent to one hook.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct CallHandle {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The accessors.
    pub vt: CallVtRef,
}

/// A streamed chunk, lent to one `on_llm_new_token`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ChunkHandle {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The accessors.
    pub vt: ChunkVtRef,
}

/// The answer, lent to one `on_llm_end`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ReplyHandle {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The accessors.
    pub vt: ReplyVtRef,
}

/// The failure, lent to one `on_llm_error`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct FailureHandle {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The accessors.
    pub vt: FailureVtRef,
}

/// A name and its value.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ViewPair {
    /// The name.
    pub name: View,
    /// The value.
    pub value: View,
}

/// The destination of a call. An absent part keeps the planned value.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawRoute {
    /// The provider's prefix or label.
    pub provider: View,
    /// The model's name at the upstream.
    pub model: View,
    /// The upstream's base URL.
    pub api_base: View,
    /// The key to send. No callback can read it back.
    pub api_key: View,
}

/// A rejection.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawRejection {
    /// An HTTP status from 400 to 599.
    pub status: u32,
    /// The wait before a retry, in milliseconds; `u64::MAX` for none.
    pub retry_after_ms: u64,
    /// The error object's `code`. If it is absent, the status stands in its place.
    pub code: View,
    /// The error object's `message`.
    pub message: View,
    /// Further response headers, `headers_len` of them.
    pub headers: *const ViewPair,
    /// See `headers`.
    pub headers_len: usize,
}

/// A callback's own answer.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawReply {
    /// 1 if `content` is a whole `chat.completion` object, 0 if it is the assistant's text. Another
    /// number, from a later minor, is a fault.
    pub is_json: u32,
    /// The answer.
    pub content: View,
}

/// Since 1.1. The plugin's end of a stream that a callback produces. Any thread may use it, but
/// only one at a time, and not after `close`. It may outlive the hook and the call.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawReplyWriter {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The functions.
    pub vt: ReplyWriterVtRef,
}

/// See [`RawReplyWriter`]. Returned numbers are `HostErrorKind`s; 0 means success.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ReplyWriterVtRef)))]
#[sabi(missing_field(option))]
pub struct ReplyWriterVt {
    /// Sends a part, once there is room for it: 0 text, 1 a whole chunk as JSON.
    pub send: unsafe extern "C" fn(*const (), u32, RString) -> FfiFuture<u32>,
    /// Ends the stream: a finish reason, or empty text if a chunk had it; prompt and completion
    /// tokens, or `u64::MAX` if they are not known.
    pub finish: unsafe extern "C" fn(*const (), RString, u64, u64) -> FfiFuture<u32>,
    /// Drops the writer. A stream that is not finished is broken.
    #[sabi(last_prefix_field)]
    pub close: unsafe extern "C" fn(*mut ()),
}

/// Reads and edits of the call.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = CallVtRef)))]
#[sabi(missing_field(option))]
pub struct CallVt {
    pub id: unsafe extern "C" fn(*const ()) -> View,
    pub endpoint: unsafe extern "C" fn(*const ()) -> u32,
    pub stream: unsafe extern "C" fn(*const ()) -> u32,
    pub requested_model: unsafe extern "C" fn(*const ()) -> View,
    pub model: unsafe extern "C" fn(*const ()) -> View,
    pub set_model: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub provider: unsafe extern "C" fn(*const ()) -> View,
    pub upstream_model: unsafe extern "C" fn(*const ()) -> View,
    pub api_base: unsafe extern "C" fn(*const ()) -> View,
    pub set_route: unsafe extern "C" fn(*mut (), RawRoute) -> EditResult,
    pub set_upstream_header: unsafe extern "C" fn(*mut (), View, View) -> EditResult,
    pub remove_upstream_header: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub header: unsafe extern "C" fn(*const (), View) -> View,
    pub header_count: unsafe extern "C" fn(*const ()) -> usize,
    pub header_at: unsafe extern "C" fn(*const (), usize) -> ViewPair,
    pub param: unsafe extern "C" fn(*const (), View) -> View,
    pub set_param: unsafe extern "C" fn(*mut (), View, View) -> EditResult,
    pub remove_param: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub message_count: unsafe extern "C" fn(*const ()) -> usize,
    pub message_role: unsafe extern "C" fn(*const (), usize) -> View,
    pub message_text: unsafe extern "C" fn(*const (), usize) -> View,
    pub message_json: unsafe extern "C" fn(*const (), usize) -> View,
    pub set_message_text: unsafe extern "C" fn(*mut (), usize, View) -> EditResult,
    pub set_message_json: unsafe extern "C" fn(*mut (), usize, View) -> EditResult,
    pub insert_message: unsafe extern "C" fn(*mut (), usize, View, View) -> EditResult,
    pub remove_message: unsafe extern "C" fn(*mut (), usize) -> EditResult,
    pub body: unsafe extern "C" fn(*const ()) -> View,
    pub replace_body: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub key_id: unsafe extern "C" fn(*const ()) -> View,
    pub metadata: unsafe extern "C" fn(*const (), View) -> View,
    pub set_metadata: unsafe extern "C" fn(*mut (), View, View) -> EditResult,
    pub local: unsafe extern "C" fn(*const ()) -> View,
    pub set_local: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub remaining_ms: unsafe extern "C" fn(*const ()) -> u64,
    pub cancelled: unsafe extern "C" fn(*const ()) -> u32,
    pub reject: unsafe extern "C" fn(*mut (), RawRejection),
    pub reply: unsafe extern "C" fn(*mut (), RawReply),
    #[sabi(last_prefix_field)]
    pub fault: unsafe extern "C" fn(*mut (), View),
    /// Since 1.1: sets a header of the client's response, whatever the outcome: name, value.
    pub set_reply_header: unsafe extern "C" fn(*mut (), View, View) -> EditResult,
    /// Since 1.1: opens a stream as the answer of `on_llm_start`, which then returns
    /// `Verdict::REPLY` without `reply`. None in other hooks.
    pub reply_stream: unsafe extern "C" fn(*mut ()) -> ROption<RawReplyWriter>,
}

/// Reads and edits of one streamed chunk.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ChunkVtRef)))]
#[sabi(missing_field(option))]
pub struct ChunkVt {
    pub index: unsafe extern "C" fn(*const ()) -> u64,
    pub json: unsafe extern "C" fn(*const ()) -> View,
    pub text: unsafe extern "C" fn(*const ()) -> View,
    pub set_json: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub set_text: unsafe extern "C" fn(*mut (), View) -> EditResult,
    #[sabi(last_prefix_field)]
    pub drop_chunk: unsafe extern "C" fn(*mut ()) -> EditResult,
    /// Since 1.1: the index of the choice that the text belongs to; `u64::MAX` if there is none.
    pub choice: unsafe extern "C" fn(*const ()) -> u64,
    /// Since 1.1: sends a chunk with this text after this one.
    pub emit_text: unsafe extern "C" fn(*mut (), View) -> EditResult,
    /// Since 1.1: sends this chunk after this one.
    pub emit_json: unsafe extern "C" fn(*mut (), View) -> EditResult,
    /// Since 1.1: keeps the last bytes of the text for the choice's next chunk.
    pub hold_back: unsafe extern "C" fn(*mut (), usize) -> EditResult,
    /// Since 1.1: the bytes at the beginning of the text that this callback held back.
    pub held: unsafe extern "C" fn(*const ()) -> usize,
    /// Since 1.1: 1 if nothing can be held back any longer, else 0.
    pub is_last: unsafe extern "C" fn(*const ()) -> u32,
}

/// Reads and edits of the answer. Unknown counts and durations are `u64::MAX`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ReplyVtRef)))]
#[sabi(missing_field(option))]
pub struct ReplyVt {
    pub status: unsafe extern "C" fn(*const ()) -> u32,
    pub json: unsafe extern "C" fn(*const ()) -> View,
    pub set_json: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub text: unsafe extern "C" fn(*const ()) -> View,
    pub set_header: unsafe extern "C" fn(*mut (), View, View) -> EditResult,
    pub finish_reason: unsafe extern "C" fn(*const ()) -> View,
    pub prompt_tokens: unsafe extern "C" fn(*const ()) -> u64,
    pub completion_tokens: unsafe extern "C" fn(*const ()) -> u64,
    pub total_tokens: unsafe extern "C" fn(*const ()) -> u64,
    pub duration_ns: unsafe extern "C" fn(*const ()) -> u64,
    pub upstream_duration_ns: unsafe extern "C" fn(*const ()) -> u64,
    pub first_token_ns: unsafe extern "C" fn(*const ()) -> u64,
    #[sabi(last_prefix_field)]
    pub from_callback: unsafe extern "C" fn(*const ()) -> u32,
    /// Since 1.1: the whole completion as JSON, also of a stream if the manifest's `reads` has
    /// `completion`.
    pub completion: unsafe extern "C" fn(*const ()) -> View,
}

/// Reads and edits of a failure. Unknown counts and durations are `u64::MAX`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = FailureVtRef)))]
#[sabi(missing_field(option))]
pub struct FailureVt {
    pub kind: unsafe extern "C" fn(*const ()) -> u32,
    pub status: unsafe extern "C" fn(*const ()) -> u32,
    pub code: unsafe extern "C" fn(*const ()) -> View,
    pub message: unsafe extern "C" fn(*const ()) -> View,
    pub set_status: unsafe extern "C" fn(*mut (), u32) -> EditResult,
    pub set_message: unsafe extern "C" fn(*mut (), View) -> EditResult,
    pub sent: unsafe extern "C" fn(*const ()) -> u32,
    pub text: unsafe extern "C" fn(*const ()) -> View,
    pub prompt_tokens: unsafe extern "C" fn(*const ()) -> u64,
    pub completion_tokens: unsafe extern "C" fn(*const ()) -> u64,
    pub total_tokens: unsafe extern "C" fn(*const ()) -> u64,
    pub duration_ns: unsafe extern "C" fn(*const ()) -> u64,
    pub upstream_duration_ns: unsafe extern "C" fn(*const ()) -> u64,
    pub first_token_ns: unsafe extern "C" fn(*const ()) -> u64,
    #[sabi(last_prefix_field)]
    pub callback: unsafe extern "C" fn(*const ()) -> View,
    /// Since 1.1: the error object's `type`.
    pub error_type: unsafe extern "C" fn(*const ()) -> View,
    /// Since 1.1: changes the error object's `type`.
    pub set_type: unsafe extern "C" fn(*mut (), View) -> EditResult,
    /// Since 1.1: changes the error object's `code`.
    pub set_code: unsafe extern "C" fn(*mut (), View) -> EditResult,
    /// Since 1.1: sets a header of the error response: name, value.
    pub set_header: unsafe extern "C" fn(*mut (), View, View) -> EditResult,
}
