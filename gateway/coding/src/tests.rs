//! Every coding, split anywhere, and with every kind of error.

use super::*;
use compression_codecs::{
    BrotliEncoder, DeflateEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder,
    brotli::params::EncoderParams, core::Level, flate::params::FlateEncoderParams,
    zstd::params::CParameter,
};

/// An encoder of each kind, with its name in `Content-Encoding`.
fn encoders() -> Vec<(&'static str, Box<dyn EncodeV2>)> {
    let level = || FlateEncoderParams::from(Level::Default);
    vec![
        ("gzip", Box::new(GzipEncoder::new(level()))),
        ("deflate", Box::new(ZlibEncoder::new(level()))),
        ("deflate", Box::new(DeflateEncoder::new(level()))),
        ("br", Box::new(BrotliEncoder::new(EncoderParams::default().quality(Level::Fastest)))),
        ("zstd", Box::new(ZstdEncoder::new_with_params(3, &[CParameter::checksum_flag(true)]))),
    ]
}

/// Encodes the parts, and flushes after each; the end of the coding comes last.
fn encoded(mut encoder: Box<dyn EncodeV2>, parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut room = vec![0; 4 << 20];
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for part in parts {
        let mut output = WriteBuffer::new_initialized(&mut room);
        let mut input = PartialBuffer::new(*part);
        while !input.unwritten().is_empty() {
            encoder.encode(&mut input, &mut output).unwrap();
        }
        while !encoder.flush(&mut output).unwrap() {}
        pieces.push(output.written().to_vec());
    }
    let mut output = WriteBuffer::new_initialized(&mut room);
    while !encoder.finish(&mut output).unwrap() {}
    pieces.push(output.written().to_vec());
    pieces
}

fn decoder(name: &str) -> Decoder {
    Decoder::of([name.as_bytes()].into_iter()).unwrap().unwrap()
}

/// The result for a body that arrives in `parts` and then ends.
fn decoded<'a>(
    name: &str,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, CodingError> {
    let (mut decoder, mut plain) = (decoder(name), Vec::new());
    for part in parts {
        decoder.feed(Bytes::copy_from_slice(part));
        while let Some(piece) = decoder.next_piece()? {
            assert!(piece.len() <= PIECE);
            plain.extend_from_slice(&piece);
        }
    }
    decoder.finish().map(|()| plain)
}

/// Text of `length` bytes that compresses somewhat.
fn text(length: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    (0..length).map(|_| *random.choice(b"the quick brown fox".iter()).unwrap()).collect()
}

#[test]
fn every_coding_is_decoded_however_it_is_cut() {
    let mut random = fastrand::Rng::with_seed(5);
    for length in [0, 1, 100, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 300_000] {
        let plain = text(length, &mut random);
        for (name, encoder) in encoders() {
            let body = encoded(encoder, &[&plain]).concat();
            assert!(decoded(name, [&body[..]]).as_deref() == Ok(&plain[..]), "{name} {length}");
            assert!(decoded(name, body.chunks(1)).as_deref() == Ok(&plain[..]), "{name} {length}");
            for _ in 0..10 {
                let (mut parts, mut left) = (Vec::new(), &body[..]);
                while !left.is_empty() {
                    let (part, rest) = left.split_at(random.usize(1..=left.len()));
                    parts.push(part);
                    left = rest;
                }
                assert!(decoded(name, parts).as_deref() == Ok(&plain[..]), "{name} {length}");
            }
        }
    }
}

#[test]
fn what_was_flushed_is_decoded_at_once() {
    let events: [&[u8]; 3] = [b"data: one\n\n", b"data: two\n\n", &[b'x'; 2 * PIECE]];
    for (name, encoder) in encoders() {
        let mut decoder = decoder(name);
        for (piece, event) in encoded(encoder, &events).into_iter().zip(events) {
            decoder.feed(piece.into());
            let mut plain = Vec::new();
            while let Some(piece) = decoder.next_piece().unwrap() {
                plain.extend_from_slice(&piece);
            }
            assert!(plain == event, "{name}");
        }
    }
}

#[test]
fn what_is_not_whole_is_an_error() {
    let plain = text(1000, &mut fastrand::Rng::with_seed(6));
    for (name, encoder) in encoders() {
        let body = encoded(encoder, &[&plain]).concat();
        let coding = decoder(name).coding;
        for end in 1..body.len() {
            assert_eq!(decoded(name, [&body[..end]]), Err(CodingError::Truncated(coding)), "{end}");
        }
        let behind = [&body[..], b"{}"].concat();
        let expected = match coding {
            // Bytes after the end could be another part, but are not.
            Coding::Gzip | Coding::Zstd => CodingError::Corrupt(coding),
            _ => CodingError::Trailing(coding),
        };
        assert_eq!(decoded(name, [&behind[..]]), Err(expected), "{name}");
        assert_eq!(decoded(name, []), Ok(Vec::new()), "{name}");
        let json = decoded(name, [&b"{\"model\": \"gpt\", \"messages\": []}"[..]]);
        assert!(json.is_err(), "{name}: {json:?}");
    }
}

#[test]
fn mutated_bodies_end_without_a_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let plain = text(2000, &mut random);
    for (name, encoder) in encoders() {
        let body = encoded(encoder, &[&plain[..1000], &plain[1000..]]).concat();
        for _ in 0..500 {
            let mut mutated = body.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..mutated.len());
                mutated[at] = random.u8(..);
            }
            let outcome = decoded(name, mutated.chunks(random.usize(1..200)));
            assert!(outcome.is_ok_and(|it| it.len() < 1 << 24) || mutated != body, "{name}");
        }
    }
}

#[test]
fn parts_follow_each_other_up_to_a_bound() {
    let part = |name: &str| {
        let encoder = encoders().into_iter().find(|it| it.0 == name).unwrap().1;
        encoded(encoder, &[b"x"]).concat()
    };
    for name in ["gzip", "zstd"] {
        let part = part(name);
        assert_eq!(decoded(name, [&part.repeat(50)[..]]), Ok(vec![b'x'; 50]), "{name}");
        assert_eq!(decoded(name, part.repeat(50).chunks(3)), Ok(vec![b'x'; 50]), "{name}");
        // Bytes after them pay for no part, whether they have arrived or not.
        let paid = [part.repeat(100), vec![b'x'; 30_000]].concat();
        for size in [1000, paid.len()] {
            let found = decoded(name, paid.chunks(size));
            assert_eq!(found, Err(CodingError::Corrupt(decoder(name).coding)), "{name} {size}");
        }
        let many = decoded(name, [&part.repeat(5000)[..]]);
        assert_eq!(many, Err(CodingError::Corrupt(decoder(name).coding)), "{name}");
    }
    assert!(decoded("br", [&part("br").repeat(2)[..]]).is_err());
}

#[test]
fn a_bomb_costs_only_the_part_that_is_read() {
    const LARGE: usize = 4 << 20;
    let zeros = vec![0; LARGE];
    for (name, encoder) in encoders() {
        let bomb = Bytes::from(encoded(encoder, &[&zeros]).concat());
        assert!(bomb.len() < LARGE / 500, "{name}: {}", bomb.len());
        let mut decoder = decoder(name);
        decoder.feed(bomb);
        for _ in 0..10 {
            assert!(decoder.next_piece().unwrap().unwrap().len() <= PIECE, "{name}");
        }
        assert!(!decoder.ended, "{name}");
    }
}

#[test]
fn a_window_beyond_that_of_http_is_refused() {
    // Frame headers: magic, descriptor without a size, window of 8 MiB and of 128 MiB.
    for (window, refused) in [(13 << 3, false), (17 << 3, true)] {
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, window, 1, 0, 0];
        let outcome = decoded("zstd", [&frame[..]]);
        assert_eq!(outcome.is_err(), refused, "{window}: {outcome:?}");
    }
}

#[test]
fn names_are_known_in_any_case() {
    let of = |values: &[&str]| Coding::of(values.iter().map(|it| it.as_bytes()));
    for (values, expected) in [
        (&[][..], None),
        (&["identity"], None),
        (&["", " , "], None),
        (&["GZIP"], Some(Coding::Gzip)),
        (&["x-gzip"], Some(Coding::Gzip)),
        (&["deflate"], Some(Coding::Deflate)),
        (&["identity, br"], Some(Coding::Brotli)),
        (&["identity", " zstd "], Some(Coding::Zstd)),
    ] {
        assert_eq!(of(values), Ok(expected), "{values:?}");
    }
    for (values, shown) in [
        (&["snappy"][..], "`snappy`"),
        (&["gzip, br"], "`gzip, br`"),
        (&["gzip", "gzip"], "`gzip, gzip`"),
        (&["a\u{1b}[31m"], "`a\\u{1b}[31m`"),
    ] {
        let error = of(values).unwrap_err().to_string();
        assert!(error.contains(shown), "{error}");
    }
    assert!(of(&[&"x".repeat(9000)]).unwrap_err().to_string().len() < 200);
}

/// A frame for a dictionary that nobody has, whose content would be a valid frame. The library
/// takes it for that frame if the first frame's header comes in a piece of its own.
#[test]
fn a_header_of_zstandard_is_read_alike_however_it_is_split() {
    let empty = b"(\xb5/\xfd \x00\x01\x00\x00";
    let body = [&empty[..], b"(\xb5/\xfd\x27", empty].concat();
    for first in 0..=body.len() {
        for second in first..=body.len() {
            let parts = [&body[..first], &body[first..second], &body[second..]];
            let corrupt = Err(CodingError::Corrupt(Coding::Zstd));
            assert_eq!(decoded("zstd", parts), corrupt, "{first} {second}");
        }
    }
    // The size in its header is not that of its content.
    let wrong = b"(\xb5/\xfd \x37\x01\0\0";
    let whole = decoded("zstd", [&wrong[..]]);
    for at in 0..=wrong.len() {
        assert_eq!(decoded("zstd", [&wrong[..at], &wrong[at..]]), whole, "{at}");
    }
    let (skipped, cut) = (b"P*M\x18\x02\0\0\0xx", b"(\xb5/\xfd");
    for at in 0..=skipped.len() {
        let parts = [&empty[..], &skipped[..at], &skipped[at..], empty];
        assert_eq!(decoded("zstd", parts), Ok(Vec::new()), "{at}");
        let truncated = Err(CodingError::Truncated(Coding::Zstd));
        assert_eq!(decoded("zstd", [&empty[..], &cut[..at.clamp(1, 4)]]), truncated);
    }
}
