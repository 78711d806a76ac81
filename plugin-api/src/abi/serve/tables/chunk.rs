//! The table of a streamed chunk.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`tables` gives the reason for each kind of block"
)]

use super::{Table, edit, edit_text, read};
use crate::abi::{
    ChunkVt, EditResult, View,
    serve::{ChunkAccess, edit_result},
};
use abi_stable::{prefix_type::WithMetadata, staticref};

text!(json: ChunkAccess, text: ChunkAccess);
edit_by_text!(set_json: ChunkAccess, set_text: ChunkAccess);

unsafe extern "C" fn index<T: ChunkAccess>(ctx: *const ()) -> u64 {
    unsafe { read::<T>(ctx) }.index()
}
unsafe extern "C" fn drop_chunk<T: ChunkAccess>(ctx: *mut ()) -> EditResult {
    edit_result(unsafe { edit::<T>(ctx) }.drop_chunk())
}

impl<T: ChunkAccess> Table<T> {
    staticref! { pub(super) const CHUNK: WithMetadata<ChunkVt> = WithMetadata::new(ChunkVt {
        index: index::<T>, json: json::<T>, text: text::<T>, set_json: set_json::<T>,
        set_text: set_text::<T>, drop_chunk: drop_chunk::<T>,
    }) }
}
