//! The table of the callback's entry. The safety argument of `hosted` applies here too.

#![expect(
    clippy::undocumented_unsafe_blocks,
    reason = "`hosted` gives the reason for all functions"
)]

use super::{HostAccess, Table, host, name, visit};
use crate::abi::{EntryVt, RawVisitor, View};
use abi_stable::{
    prefix_type::WithMetadata,
    staticref,
    std_types::{ROption, RString},
};

unsafe extern "C" fn entry_name<T: HostAccess>(ctx: *const ()) -> View {
    View::of(unsafe { host::<T>(ctx) }.entry().name().as_bytes())
}

unsafe extern "C" fn instance<T: HostAccess>(ctx: *const ()) -> View {
    View::of(unsafe { host::<T>(ctx) }.entry().instance().as_bytes())
}

unsafe extern "C" fn position<T: HostAccess>(ctx: *const ()) -> u64 {
    unsafe { host::<T>(ctx) }.entry().position().map_or(u64::MAX, |position| position as u64)
}

unsafe extern "C" fn has_model<T: HostAccess>(ctx: *const (), model: View) -> u32 {
    unsafe { host::<T>(ctx).entry().has_model(name(model)) }.map_or(2, u32::from)
}

unsafe extern "C" fn models<T: HostAccess>(ctx: *const (), visitor: RawVisitor) -> u32 {
    let Some(models) = unsafe { host::<T>(ctx) }.entry().models() else { return 0 };
    let models = models.into_iter().map(|name| (name, 0)).collect();
    unsafe { visit(models, visitor) };
    1
}

unsafe extern "C" fn state_dir<T: HostAccess>(ctx: *const ()) -> ROption<RString> {
    unsafe { host::<T>(ctx) }.entry().state_dir().map(Into::into).into()
}

impl<T: HostAccess> Table<T> {
    staticref! {
        pub(super) const ENTRY: WithMetadata<EntryVt> = WithMetadata::new(EntryVt {
            name: entry_name::<T>, instance: instance::<T>, position: position::<T>,
            has_model: has_model::<T>, models: models::<T>, state_dir: state_dir::<T>,
        });
    }
}
