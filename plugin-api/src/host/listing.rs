//! Names with their numbers, as a service lists them.

use crate::abi::{RawVisitor, View};

/// A visitor that collects names with their numbers. `found` must outlive its use.
pub(super) fn collecting(found: &mut Vec<(String, i64)>) -> RawVisitor {
    unsafe extern "C" fn visit(found: *mut (), name: View, number: i64) {
        // SAFETY: `found` is the vector below, lent for the call; the name lives until this
        // returns.
        let (found, name) = unsafe { (&mut *found.cast::<Vec<(String, i64)>>(), name.text()) };
        found.extend(name.map(|name| (name.to_owned(), number)));
    }
    RawVisitor { visit, arg: std::ptr::from_mut(found).cast() }
}
