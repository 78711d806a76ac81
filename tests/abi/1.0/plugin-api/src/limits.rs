//! How much a callback may put into a call. Sizes are in bytes; past one an edit fails with
//! [`EditError::TooLarge`](crate::EditError::TooLarge) and changes nothing.
//!
//! They are those of the gateway this crate belongs to. A gateway of another version may have
//! others, so take the error for the answer, not these numbers.

/// All keys and values of [`set_metadata`](crate::CallView::set_metadata) on one call.
pub const METADATA: usize = 1 << 20;

/// The note of [`set_local`](crate::CallView::set_local).
pub const LOCAL: usize = 1 << 20;

/// A model name, of clients and of [`set_model`](crate::LlmCall::set_model).
pub const MODEL: usize = 1 << 10;

/// Names and values of all headers set for one upstream request, or for one reply.
pub const HEADERS: usize = 64 << 10;

/// Everything edits put into one call's body, added up: also what a later edit replaces.
pub const BODY_EDITS: usize = 64 << 20;

/// One edit of a chunk or a JSON reply, and a [`Reply`](crate::Reply) of a callback's own.
pub const ANSWER: usize = 64 << 20;

/// The message of a rejection or a failure. A longer one is cut, not refused.
pub const MESSAGE: usize = 64 << 10;
