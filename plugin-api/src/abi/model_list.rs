//! What crosses the boundary in `on_list_models`.

use super::{EditResult, RawRejection, View};
use abi_stable::StableAbi;

/// Since 1.1. The models of one listing, lent to one `on_list_models`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct ModelListHandle {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The accessors.
    pub vt: ModelListVtRef,
}

/// Since 1.1. The names of a listing, each at an index that never changes, and who asked for it.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ModelListVtRef)))]
#[sabi(missing_field(option))]
pub struct ModelListVt {
    /// The number of names, with the hidden ones.
    pub count: unsafe extern "C" fn(*const ()) -> usize,
    /// A name; absent if it is hidden.
    pub at: unsafe extern "C" fn(*const (), usize) -> View,
    /// Hides the name at an index.
    pub hide: unsafe extern "C" fn(*mut (), usize) -> EditResult,
    /// Adds a name, or shows it again.
    pub add: unsafe extern "C" fn(*mut (), View) -> EditResult,
    /// A fact about the caller: `key_id`, and the names that follow `callgate.caller.` in the
    /// metadata of a call.
    pub caller: unsafe extern "C" fn(*const (), View) -> View,
    /// Why the listing is refused: with `Verdict::REJECT`.
    pub refuse: unsafe extern "C" fn(*mut (), RawRejection),
    /// What failed.
    #[sabi(last_prefix_field)]
    pub fault: unsafe extern "C" fn(*mut (), View),
}
