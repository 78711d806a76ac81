//! What an instance's `ctx` points to.

use super::{events, panics};
use crate::Host;

/// The data that `ctx` points to.
pub(super) struct Made<T> {
    pub(super) instance: T,
    /// The host whose log the hooks write to.
    pub(super) host: Host,
}

pub(super) unsafe fn made<'a, T>(ctx: *const ()) -> &'a Made<T> {
    // SAFETY: `create_with` made it for the same `T`, and it lives until `destroy`.
    unsafe { &*ctx.cast::<Made<T>>() }
}

impl<T> Made<T> {
    /// Runs `work` outside a hook and catches its panics.
    pub(super) fn quietly(&self, work: impl FnOnce(&T)) {
        let _events = events::enter(self.host);
        let _ = panics::caught(|| work(&self.instance));
    }
}
