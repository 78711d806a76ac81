//! Masks secrets in callbacks' texts.

use callgate_secret::Masking;
use std::borrow::Cow;

/// Masks a callback's own secrets and the gateway's in its text.
pub fn masked_twice<'t>(own: &Masking, gateways: &Masking, text: &'t str) -> Cow<'t, str> {
    match own.mask(text) {
        Cow::Borrowed(text) => gateways.mask(text),
        Cow::Owned(text) => Cow::Owned(gateways.mask(&text).into_owned()),
    }
}
