//! The table of a listing in `on_list_models`.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`tables` gives the reason for each kind of block"
)]

use super::{
    Table,
    call::{lossy, owned_rejection},
    edit, edit_text, read,
};
use crate::abi::{
    EditResult, ModelListVt, RawRejection, View,
    serve::{ModelListAccess, edit_result},
};
use abi_stable::{prefix_type::WithMetadata, staticref};

unsafe extern "C" fn count<T: ModelListAccess>(ctx: *const ()) -> usize {
    unsafe { read::<T>(ctx) }.count()
}
unsafe extern "C" fn at<T: ModelListAccess>(ctx: *const (), index: usize) -> View {
    View::of_option(unsafe { read::<T>(ctx) }.at(index))
}
unsafe extern "C" fn hide<T: ModelListAccess>(ctx: *mut (), index: usize) -> EditResult {
    edit_result(unsafe { edit::<T>(ctx) }.hide(index))
}
unsafe extern "C" fn add<T: ModelListAccess>(ctx: *mut (), model: View) -> EditResult {
    edit_text(model, |model| unsafe { edit::<T>(ctx) }.add(model))
}
unsafe extern "C" fn caller<T: ModelListAccess>(ctx: *const (), name: View) -> View {
    let name = unsafe { name.text() };
    View::of_option(name.and_then(|name| unsafe { read::<T>(ctx) }.caller(name)))
}
unsafe extern "C" fn refuse<T: ModelListAccess>(ctx: *mut (), raw: RawRejection) {
    let rejection = unsafe { owned_rejection(raw) };
    unsafe { edit::<T>(ctx) }.refuse(rejection);
}
unsafe extern "C" fn fault<T: ModelListAccess>(ctx: *mut (), message: View) {
    unsafe { edit::<T>(ctx) }.fault(&lossy(message));
}

impl<T: ModelListAccess> Table<T> {
    staticref! { pub(super) const MODEL_LIST: WithMetadata<ModelListVt> = WithMetadata::new(ModelListVt {
        count: count::<T>, at: at::<T>, hide: hide::<T>, add: add::<T>, caller: caller::<T>,
        refuse: refuse::<T>, fault: fault::<T>,
    }) }
}
