//! What crosses the boundary in `on_auth`.

use super::{RawRejection, View, ViewPair};
use abi_stable::StableAbi;

/// Since 1.1. A request, lent to one `on_auth`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct AuthHandle {
    /// The host's own; opaque.
    pub ctx: *mut (),
    /// The accessors.
    pub vt: AuthVtRef,
}

/// Since 1.1. Reads of the inputs that the export declares, and the content of the verdict.
/// `Verdict::CONTINUE` passes, `REPLY` goes with `caller`, `REJECT` with `refuse`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = AuthVtRef)))]
#[sabi(missing_field(option))]
pub struct AuthVt {
    /// The first value of a declared input; absent if the request or the export lacks it.
    pub input: unsafe extern "C" fn(*const (), View) -> View,
    pub input_count: unsafe extern "C" fn(*const ()) -> usize,
    pub input_at: unsafe extern "C" fn(*const (), usize) -> ViewPair,
    /// Who calls: one JSON object.
    pub caller: unsafe extern "C" fn(*mut (), View),
    /// Why the request is refused, and for how many milliseconds the refusal is kept.
    pub refuse: unsafe extern "C" fn(*mut (), RawRejection, u64),
    /// What failed.
    #[sabi(last_prefix_field)]
    pub fault: unsafe extern "C" fn(*mut (), View),
}
