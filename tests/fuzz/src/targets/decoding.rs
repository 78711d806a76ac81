//! Content codings. The first line of an input is the value of `Content-Encoding`.

use super::{bounds::in_proportion, pieces::same_at_any_cut};
use callgate_coding::fuzzing::decode;

pub(super) const TOKENS: &[&[u8]] = &[
    b"gzip\n",
    b"deflate\n",
    b"br\n",
    b"zstd\n",
    b"identity\n",
    b"gzip, br\n",
    b"\x1f\x8b\x08\x00",
    b"\x1f\x8b\x08\x1f",
    b"\x28\xb5\x2f\xfd",
    b"\x78\x9c",
    b"\x78\x01",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00",
    b"\x03\x00",
    b"\x00\x00\xff\xff",
    b"\x50\x2a\x4d\x18",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x06",
];

/// The largest decoded body here; decoders have their own windows in addition.
const MOST: usize = 1 << 20;
const WINDOWS: usize = 24 << 20;

pub(super) fn check(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (coding, body) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let plain = same_at_any_cut(body, |pieces| {
        in_proportion(WINDOWS + body.len(), 2, || decode(coding, pieces, MOST)).map_err(|_| ())
    });
    let length = plain.map_or(0, |plain| plain.len());
    assert!(length <= MOST.max(body.len()), "past the bound: {length}");
}
