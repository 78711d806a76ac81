//! Forms with files. The boundary is always the same.

use super::{bounds::in_proportion, pieces::same_at_any_cut};
use callgate_server::fuzzing::form;

const TYPE: &str = "multipart/form-data; boundary=XX";

pub(super) const TOKENS: &[&[u8]] = &[
    b"--XX\r\n",
    b"\r\n--XX\r\n",
    b"\r\n--XX--",
    b"\r\n--X",
    b"\r\n\r\n",
    b"\r",
    b"\n",
    b" \t",
    b"Content-Disposition: form-data; name=\"model\"",
    b"; filename=\"a\\\"b\"",
    b"Content-Type: audio/mpeg",
];

/// What is kept of a part besides its content.
const FIXED: usize = 64 * 1024;

pub(super) fn check(input: &[u8]) {
    let parts = same_at_any_cut(input, |pieces| in_proportion(FIXED, 40, || form(TYPE, pieces)));
    let contents: usize =
        parts.iter().flatten().map(|(name, _, content)| name.len() + content.len()).sum();
    assert!(contents <= input.len(), "{contents} bytes of {}", input.len());
}
