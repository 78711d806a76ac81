//! Framing is right however the bytes happen to be cut into reads.

use super::*;

/// Feeds `wire` in pieces of `step` bytes; returns the body and what was left over after it.
fn decode(mut framing: Framing, wire: &[u8], step: usize) -> (Vec<u8>, Vec<u8>) {
    let (mut body, mut buffer) = (Vec::new(), BytesMut::new());
    let mut pieces = wire.chunks(step);
    while !framing.decode(&mut buffer, &mut |piece| body.extend_from_slice(piece)).unwrap() {
        buffer.extend_from_slice(pieces.next().expect("body did not end"));
    }
    buffer.extend_from_slice(&pieces.collect::<Vec<_>>().concat());
    (body, buffer.to_vec())
}

#[test]
fn bodies_end_where_their_framing_says() {
    let chunked = || Framing::Chunked(ChunkState::Size);
    let cases: [(Framing, &[u8], &[u8]); 5] = [
        (Framing::Length(0), b"next", b""),
        (Framing::Length(5), b"hellonext", b"hello"),
        (chunked(), b"0\r\n\r\nnext", b""),
        (chunked(), b"5\r\nhello\r\n1;ext=1\r\n!\r\n0\r\n\r\nnext", b"hello!"),
        (chunked(), b"A\r\n0\r\n\r\n45678\r\n0\r\nx-t: 1\r\n\r\nnext", b"0\r\n\r\n45678"),
    ];
    for (framing, wire, expected) in cases {
        for step in 1..=wire.len() {
            let fresh = match framing {
                Framing::Length(length) => Framing::Length(length),
                Framing::Chunked(_) => chunked(),
            };
            let (body, rest) = decode(fresh, wire, step);
            assert_eq!((body.as_slice(), rest.as_slice()), (expected, b"next".as_slice()));
        }
    }
}

#[test]
fn heads_give_framing_and_keep_alive() {
    let response = |text: &str| parse_response(&mut BytesMut::from(text)).unwrap();
    assert_eq!(response("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n"), None);
    assert_eq!(
        response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
        Some(ResponseHead { status: 200, framing: Framing::Length(3), close: false })
    );
    assert_eq!(
        response("HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\nConnection: Close\r\n\r\n"),
        Some(ResponseHead {
            status: 502,
            framing: Framing::Chunked(ChunkState::Size),
            close: true
        })
    );
    let mut two = BytesMut::from("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n");
    assert_eq!(parse_request(&mut two).unwrap().unwrap().path, "/a");
    assert_eq!(parse_request(&mut two).unwrap().unwrap().path, "/b");
}

#[test]
fn nonsense_is_an_error_not_a_wait() {
    let bad = ["HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "hello\r\n\r\n"];
    for text in bad {
        assert!(parse_response(&mut BytesMut::from(text)).is_err(), "{text}");
    }
    let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(MAX_HEAD));
    assert!(matches!(
        parse_response(&mut BytesMut::from(endless.as_str())),
        Err(WireError::HeadTooLong)
    ));
    assert!(matches!(chunk_size(b"zz\r\n"), Err(WireError::ChunkSize)));
}
