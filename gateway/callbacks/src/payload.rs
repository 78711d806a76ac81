//! Chunks, replies and failures as hooks see them.

mod chunk;
mod chunk_json;
mod failure;
mod object;
mod other_chunks;
mod reply;
mod streamed_text;
#[cfg(test)]
mod tests;

pub use chunk::ChunkPayload;
pub(super) use chunk_json::by_choice;
pub use failure::ErrorPayload;
pub(super) use object::is_object_json;
pub(crate) use reply::EndPayloadSnapshot;
pub use reply::{CallStats, EndPayload, is_answer, is_completion};
pub use streamed_text::StreamedText;
pub(super) use streamed_text::within;
