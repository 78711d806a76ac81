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
edit_by_text!(set_json: ChunkAccess, set_text: ChunkAccess, emit_text: ChunkAccess, emit_json: ChunkAccess);

unsafe extern "C" fn index<T: ChunkAccess>(ctx: *const ()) -> u64 {
    unsafe { read::<T>(ctx) }.index()
}
unsafe extern "C" fn drop_chunk<T: ChunkAccess>(ctx: *mut ()) -> EditResult {
    edit_result(unsafe { edit::<T>(ctx) }.drop_chunk())
}
unsafe extern "C" fn choice<T: ChunkAccess>(ctx: *const ()) -> u64 {
    unsafe { read::<T>(ctx) }.choice().unwrap_or(u64::MAX)
}
unsafe extern "C" fn hold_back<T: ChunkAccess>(ctx: *mut (), bytes: usize) -> EditResult {
    edit_result(unsafe { edit::<T>(ctx) }.hold_back(bytes))
}
unsafe extern "C" fn held<T: ChunkAccess>(ctx: *const ()) -> usize {
    unsafe { read::<T>(ctx) }.held()
}
unsafe extern "C" fn is_last<T: ChunkAccess>(ctx: *const ()) -> u32 {
    u32::from(unsafe { read::<T>(ctx) }.is_last())
}

impl<T: ChunkAccess> Table<T> {
    staticref! { pub(super) const CHUNK: WithMetadata<ChunkVt> = WithMetadata::new(ChunkVt {
        index: index::<T>, json: json::<T>, text: text::<T>, set_json: set_json::<T>,
        set_text: set_text::<T>, drop_chunk: drop_chunk::<T>, choice: choice::<T>,
        emit_text: emit_text::<T>, emit_json: emit_json::<T>, hold_back: hold_back::<T>,
        held: held::<T>, is_last: is_last::<T>,
    }) }
}
