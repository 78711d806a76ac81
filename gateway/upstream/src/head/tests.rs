//! Upstreams' responses, split anywhere and with every kind of error.

use super::{super::framing::BodyStep, *};

/// The result of reading a response.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Whole { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, keep: bool, rest: usize },
    CutOff,
    Invalid,
}

/// Reads a response that arrives in `parts` and then closes.
fn read<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut buffer, mut incoming) = (BytesMut::new(), IncomingHead::default());
    let (mut head, mut body) = (None::<Head>, Vec::new());
    for part in parts {
        buffer.extend_from_slice(part);
        if head.is_none() {
            match incoming.take(&mut buffer) {
                Ok(found) => head = found,
                Err(_) => return Outcome::Invalid,
            }
        }
        let Some(found) = &mut head else { continue };
        loop {
            match found.framing.step(&mut buffer) {
                BodyStep::Data(data) => body.extend_from_slice(&data),
                BodyStep::More => break,
                BodyStep::Invalid(_) => return Outcome::Invalid,
                // Bytes after the response count as left over, also those that have not arrived
                // yet.
                BodyStep::End => break,
            }
        }
    }
    let Some(mut head) = head else { return Outcome::CutOff };
    let ended = head.framing.step(&mut buffer) == BodyStep::End || head.framing.ends_by_close();
    if !ended {
        return Outcome::CutOff;
    }
    let text = |range: &Range<usize>| {
        String::from_utf8_lossy(&head.headers.bytes[range.clone()]).into_owned()
    };
    let headers = head.headers.fields.iter().map(|it| (text(&it.0), text(&it.1))).collect();
    let (status, keep) = (head.status, head.keep);
    Outcome::Whole { status, headers, body, keep, rest: buffer.len() }
}

fn whole(answer: &[u8]) -> Outcome {
    read([answer])
}

/// Valid responses of every kind.
const VALID: [&[u8]; 9] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Y: z\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\n\r\nuntil the end\r\n\r\nof it",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 429 \r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
];

#[test]
fn a_valid_answer_is_the_same_however_it_is_cut() {
    let mut random = fastrand::Rng::with_seed(11);
    for answer in VALID {
        let expected = whole(answer);
        assert!(matches!(expected, Outcome::Whole { rest: 0, .. }), "{expected:?}");
        assert_eq!(read(answer.chunks(1)), expected);
        for _ in 0..300 {
            let mut parts = Vec::new();
            let mut left = answer;
            while !left.is_empty() {
                let (part, rest) = left.split_at(random.usize(1..=left.len().min(40)));
                parts.push(part);
                left = rest;
            }
            assert_eq!(read(parts), expected);
        }
        // A response that is cut off is never complete, unless the close is its end.
        for end in 0..answer.len() {
            let outcome = whole(&answer[..end]);
            let by_close = answer.starts_with(b"HTTP/1.1 200 OK\r\nConnection");
            assert!(by_close || outcome == Outcome::CutOff, "{end}: {outcome:?}");
        }
    }
}

#[test]
fn mutated_answers_have_an_outcome_that_does_not_hang_on_their_cut() {
    let mut random = fastrand::Rng::with_seed(12);
    for round in 0..20_000 {
        let mut answer = VALID[random.usize(..VALID.len())].to_vec();
        for _ in 0..random.usize(1..4) {
            if answer.len() < 2 {
                break;
            }
            let at = random.usize(..answer.len());
            match random.u8(..4) {
                0 => answer[at] = random.u8(..),
                1 => drop(answer.remove(at)),
                2 => answer.insert(at, *random.choice(b"\r\n :;,\0\xff0a".iter()).unwrap()),
                _ => answer.truncate(at.max(1)),
            }
        }
        let outcome = whole(&answer);
        let bytewise = read(answer.chunks(1));
        // An error after a missing part may or may not be noticed.
        let same = outcome == bytewise || [&outcome, &bytewise].contains(&&Outcome::Invalid);
        assert!(same, "{round}: {outcome:?} {bytewise:?} {:?}", String::from_utf8_lossy(&answer));
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    let many = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
    let interim = |count: usize| {
        format!("{}HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n".repeat(count))
    };
    let long = |length: usize| format!("HTTP/1.1 204 No\r\nA: {}\r\n\r\n", "x".repeat(length));
    for (answer, valid) in [
        ("HTTP/1.1 099 No\r\n\r\n", false),
        ("HTTP/1.1 000 No\r\n\r\n", false),
        ("HTTP/1.1 20 No\r\n\r\n", false),
        ("HTTP/1.1 1000 No\r\n\r\n", false),
        ("HTTP/1.1 -20 No\r\n\r\n", false),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", false),
        ("HTTP/2 200\r\n\r\n", false),
        ("\r\nHTTP/1.1 204 No\r\n\r\n", false),
        ("SSH-2.0-OpenSSH_9.9\r\n", false),
        ("HTTP/1.1 204 No\r\nA: b\r\n folded\r\n\r\n", false),
        ("HTTP/1.1 204 No\r\nA: b\rc\r\n\r\n", false),
        ("HTTP/1.1 204 No\r\nA : b\r\n\r\n", false),
        ("HTTP/1.1 204 No\r\nA\r\n\r\n", false),
        ("HTTP/1.1 204 No\r\nA: \0\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", false),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false),
        (&many(128), true),
        (&many(129), false),
        (&interim(16), true),
        (&interim(17), false),
        (&long(60_000), true),
        (&long(70_000), false),
    ] {
        for size in [1, 1000, usize::MAX] {
            let outcome = read(answer.as_bytes().chunks(size.min(answer.len())));
            let shown = &answer[..answer.len().min(60)];
            assert_eq!(outcome != Outcome::Invalid, valid, "{shown} in {size}: {outcome:?}");
        }
    }
}

#[test]
fn a_head_that_comes_byte_by_byte_is_parsed_seldom() {
    let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", "Abc: defgh\r\n".repeat(100));
    let (mut buffer, mut incoming, mut looks) = (BytesMut::new(), IncomingHead::default(), 0);
    for byte in answer.bytes() {
        buffer.extend_from_slice(&[byte]);
        looks += usize::from(incoming.is_due(&buffer).unwrap());
    }
    // Once for each doubling, and at the end.
    assert!(looks <= 13, "{looks}");
}

#[test]
fn what_the_head_says_of_the_connection() {
    for (headers, keep, time) in [
        ("", true, None),
        ("Connection: close\r\n", false, None),
        ("Connection: upgrade , CLOSE\r\n", false, None),
        ("Connection: not-closed\r\n", true, None),
        ("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", true, Some(5)),
        ("keep-alive: max=100, Timeout = 72\r\n", true, Some(72)),
        ("keep-alive: timeout=\"7\"\r\n", true, Some(7)),
        ("keep-alive: timeout=0\r\n", true, Some(0)),
        ("keep-alive: timeout=-1\r\n", true, None),
        ("keep-alive: timeout=99999999999999999999\r\n", true, None),
        ("keep-alive: timeout\r\n", true, None),
        ("Transfer-Encoding: chunked\r\n", false, None),
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{headers}\r\n");
        let mut buffer = BytesMut::from(answer.as_bytes());
        let head = IncomingHead::default().take(&mut buffer).unwrap().unwrap();
        let expected = (keep, time.map(Duration::from_secs));
        assert_eq!((head.keep, head.keep_time), expected, "{headers}");
    }
}
