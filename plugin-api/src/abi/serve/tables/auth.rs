//! The table of a request in `on_auth`.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`tables` gives the reason for each kind of block"
)]

use super::{
    Table,
    call::{lossy, owned_rejection},
    edit, read,
};
use crate::abi::{AuthVt, RawRejection, View, ViewPair, serve::AuthAccess};
use abi_stable::{prefix_type::WithMetadata, staticref};
use std::time::Duration;

unsafe extern "C" fn input<T: AuthAccess>(ctx: *const (), name: View) -> View {
    let name = unsafe { name.text() };
    let value = name.and_then(|name| unsafe { read::<T>(ctx) }.input(name));
    value.map_or(View::ABSENT, View::of)
}
unsafe extern "C" fn input_count<T: AuthAccess>(ctx: *const ()) -> usize {
    unsafe { read::<T>(ctx) }.input_count()
}
unsafe extern "C" fn input_at<T: AuthAccess>(ctx: *const (), index: usize) -> ViewPair {
    match unsafe { read::<T>(ctx) }.input_at(index) {
        Some((name, value)) => ViewPair { name: View::of(name.as_bytes()), value: View::of(value) },
        None => ViewPair { name: View::ABSENT, value: View::ABSENT },
    }
}
unsafe extern "C" fn caller<T: AuthAccess>(ctx: *mut (), json: View) {
    unsafe { edit::<T>(ctx) }.caller(&lossy(json));
}
unsafe extern "C" fn refuse<T: AuthAccess>(ctx: *mut (), raw: RawRejection, keep_ms: u64) {
    let rejection = unsafe { owned_rejection(raw) };
    unsafe { edit::<T>(ctx) }.refuse(rejection, Duration::from_millis(keep_ms));
}
unsafe extern "C" fn fault<T: AuthAccess>(ctx: *mut (), message: View) {
    unsafe { edit::<T>(ctx) }.fault(&lossy(message));
}

impl<T: AuthAccess> Table<T> {
    staticref! { pub(super) const AUTH: WithMetadata<AuthVt> = WithMetadata::new(AuthVt {
        input: input::<T>, input_count: input_count::<T>, input_at: input_at::<T>,
        caller: caller::<T>, refuse: refuse::<T>, fault: fault::<T>,
    }) }
}
