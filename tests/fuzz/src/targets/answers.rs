//! HTTP/1.1 responses of upstreams: heads, and where bodies end.

use super::{
    bounds::in_proportion,
    pieces::{beginnings, same_at_any_cut},
};
use callgate_upstream::fuzzing::answer;

pub(super) const TOKENS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 200\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n",
    b"HTTP/1.1 101\r\n\r\n",
    b"\r\n\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"Content-Length: 5\r\n",
    b"content-length: 5, 5\r\n",
    b"Content-Length: 18446744073709551616\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: gzip, chunked\r\n",
    b"Connection: close\r\n",
    b"Keep-Alive: timeout=5\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"1;a=b\r\nx\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\nt: v\r\n\r\n",
    b" ",
    b"\x00",
    b": ",
    b"204",
    b"304",
    b"\xff",
];

pub(super) fn head_and_body(input: &[u8]) {
    let read = same_at_any_cut(input, |pieces| {
        in_proportion(input.len(), 8, || answer(pieces)).map_err(|_| ())
    });
    let Ok(read) = read else { return };
    assert!(read.body.len() + read.behind <= input.len(), "{read:?}");
    assert!((200..=999).contains(&read.status), "{}", read.status);
    for beginning in beginnings(input) {
        let cut = answer(&[beginning]);
        // Only a body that ends with its connection can be cut without a sign.
        let shorter = cut.is_ok_and(|cut| cut.body.len() < read.body.len() && cut.keep);
        assert!(!shorter, "{} bytes of {} look whole", beginning.len(), input.len());
    }
}
