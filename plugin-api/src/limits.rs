//! Limits of what callbacks may put into a call, in bytes. An edit beyond a limit fails with
//! [`EditError::TooLarge`](crate::EditError::TooLarge) and changes nothing. These are the limits of
//! the gateway of this crate's version. Another version may have other limits, so handle the error
//! and do not hard-code these numbers.

/// All keys and values that callbacks set on one call with
/// [`set_metadata`](crate::CallView::set_metadata).
pub const METADATA: usize = 1 << 20;

/// One callback's note on one call: [`set_local`](crate::CallView::set_local).
pub const LOCAL: usize = 1 << 20;

/// A model name, sent by a client or set by [`set_model`](crate::LlmCall::set_model).
pub const MODEL: usize = 1 << 10;

/// Names and values of all headers that callbacks set on one upstream request, or on one reply.
pub const HEADERS: usize = 64 << 10;

/// The sum of all edits of one call's body. An edit that a later one replaces still counts.
pub const BODY_EDITS: usize = 64 << 20;

/// One edit of a chunk or a JSON reply, or a callback's own [`Reply`](crate::Reply).
pub const ANSWER: usize = 64 << 20;

/// All chunks that one run of `on_llm_new_token` emits.
pub const EMITTED: usize = 1 << 20;

/// The number of chunks that one run of `on_llm_new_token` emits. Not in bytes.
pub const EMITTED_CHUNKS: usize = 64;

/// One part of a stream that a callback produces: [`ReplyWriter`](crate::ReplyWriter).
pub const STREAMED_PART: usize = 1 << 20;

/// The text of one choice that a callback holds back: [`hold_back`](crate::Chunk::hold_back).
pub const HELD_BACK: usize = 4 << 10;

/// The message of a rejection, fault or failure. A longer message is cut, not refused.
pub const MESSAGE: usize = 64 << 10;

/// All texts of a caller that `on_auth` describes: [`AuthCaller`](crate::AuthCaller).
pub const AUTH_CALLER: usize = 64 << 10;

/// The number of names that callbacks add to one list of models: [`ModelList`](crate::ModelList).
/// Not in bytes.
pub const LISTED_MODELS: usize = 1_000;

/// The longest time for which the gateway keeps a result of `on_auth`. Not in bytes.
pub const AUTH_CACHE: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// The `code` or `type` that a callback gives a failure.
pub const CODE: usize = 1 << 10;

/// The number of calls, each made by a callback because of the one before, that may lead to another
/// such call; see [`Llm`](crate::Llm).
pub const DEPTH: u32 = 2;
