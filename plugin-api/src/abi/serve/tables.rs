//! The accessor tables for any type that implements the `…Access` traits, one file per table. Every
//! unsafe block in them is one of three kinds. Each is safe for this reason:
//!
//! - [`read`] and [`edit`]: only `lend_*` makes the pointer in a handle, from a `&mut T` that
//!   outlives the hook, for a table of the same `T`. The author's side holds the only view of it,
//!   `&mut` while it edits, so no other reference is alive.
//! - `View::text` and `View::bytes` of an argument: its bytes are valid until the accessor returns,
//!   and the host keeps only copies.
//! - A slice of pairs: the same as for a view.

use super::{
    AuthAccess, CallAccess, ChunkAccess, Edited, FailureAccess, ModelListAccess, ReplyAccess,
    edit_result,
};
use crate::{
    EditError,
    abi::{
        AuthHandle, AuthVtRef, CallHandle, CallVtRef, ChunkHandle, ChunkVtRef, EditResult,
        FailureHandle, FailureVtRef, ModelListHandle, ModelListVtRef, ReplyHandle, ReplyVtRef,
        View,
    },
};
pub use reply_writer::{ReplyPart, ReplySink};
use std::marker::PhantomData;

/// Table entries that only call the trait and return text.
macro_rules! text {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *const ()) -> View {
            View::of(unsafe { read::<T>(ctx) }.$name().as_bytes())
        }
    )*};
}

/// Like [`text!`], for values that may be absent.
macro_rules! optional_text {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *const ()) -> View {
            View::of_option(unsafe { read::<T>(ctx) }.$name())
        }
    )*};
}

/// Entries that take a text and return the outcome of an edit.
macro_rules! edit_by_text {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *mut (), text: View) -> EditResult {
            edit_text(text, |text| unsafe { edit::<T>(ctx) }.$name(text))
        }
    )*};
}

/// Entries that take a name and a value, and return the outcome of an edit.
macro_rules! edit_by_pair {
    ($($name:ident: $access:ident),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *mut (), name: View, value: View) -> EditResult {
            edit_two(name, value, |name, value| unsafe { edit::<T>(ctx) }.$name(name, value))
        }
    )*};
}

/// Entries that return one of several numbers; unknown numbers are `u64::MAX`.
macro_rules! number {
    ($access:ident: $($name:ident = $method:ident[$index:literal]),*) => {$(
        unsafe extern "C" fn $name<T: $access>(ctx: *const ()) -> u64 {
            unsafe { read::<T>(ctx) }.$method()[$index].unwrap_or(u64::MAX)
        }
    )*};
}

mod auth;
mod call;
mod chunk;
mod failure;
mod model_list;
mod reply;
mod reply_writer;

/// Lends a value as a handle, for as long as the borrow lasts.
macro_rules! lend {
    ($name:ident, $access:ident, $handle:ident, $vt:ident, $table:ident) => {
        pub(in crate::abi) fn $name<T: $access>(value: &mut T) -> $handle {
            $handle {
                ctx: std::ptr::from_mut(value).cast(),
                vt: $vt(Table::<T>::$table.as_prefix()),
            }
        }
    };
}
lend!(lend_auth, AuthAccess, AuthHandle, AuthVtRef, AUTH);
lend!(lend_call, CallAccess, CallHandle, CallVtRef, CALL);
lend!(lend_chunk, ChunkAccess, ChunkHandle, ChunkVtRef, CHUNK);
lend!(lend_reply, ReplyAccess, ReplyHandle, ReplyVtRef, REPLY);
lend!(lend_failure, FailureAccess, FailureHandle, FailureVtRef, FAILURE);
lend!(lend_model_list, ModelListAccess, ModelListHandle, ModelListVtRef, MODEL_LIST);

struct Table<T>(PhantomData<T>);

unsafe fn read<'a, T>(ctx: *const ()) -> &'a T {
    // SAFETY: `lend_*` made `ctx` from a `&mut T` that outlives the hook.
    unsafe { &*ctx.cast::<T>() }
}

unsafe fn edit<'a, T>(ctx: *mut ()) -> &'a mut T {
    // SAFETY: as above. The author's side holds the only view (`&mut`), so no other is alive.
    unsafe { &mut *ctx.cast::<T>() }
}

fn edit_text(view: View, edit: impl FnOnce(&str) -> Edited) -> EditResult {
    // SAFETY: views of arguments are valid until the accessor returns.
    match unsafe { view.text() } {
        Some(text) => edit_result(edit(text)),
        None => EditResult::NOT_UTF8,
    }
}

fn edit_two(one: View, two: View, edit: impl FnOnce(&str, &str) -> Edited) -> EditResult {
    // SAFETY: as above.
    edit_text(one, |one| match unsafe { two.text() } {
        Some(two) => edit(one, two),
        None => Err(EditError::NotUtf8),
    })
}
