//! Where a value stands: the objects and arrays around it.

use std::borrow::Cow;

/// An object or array that is open.
pub(crate) struct OpenValue<'a> {
    pub(crate) object: bool,
    /// The name of the current member. Elements of an array have the array's name.
    pub(crate) name: Cow<'a, str>,
}
