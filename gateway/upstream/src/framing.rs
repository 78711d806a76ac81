//! Finds the end of a response's body, and takes the body out of the bytes read.

use bytes::{Buf as _, Bytes, BytesMut};

/// The longest line of chunk framing.
const MAX_LINE: usize = 8 * 1024;

/// The most bytes of chunk extensions and trailers beyond the usual framing.
const MAX_OVERHEAD: u64 = 16 * 1024;

/// The usual length of a line with a chunk's size, rounded up.
const USUAL_LINE: u64 = 16;

/// The rest of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// All bytes until the upstream closes.
    UntilClose,
}

/// A chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Chunked {
    at: Chunk,
    /// The number of framing bytes beyond the usual amount.
    overhead: u64,
}

/// A position in a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Chunk {
    /// Before the line with a chunk's size.
    #[default]
    Size,
    /// Within a chunk.
    Data(u64),
    /// Before the line end after a chunk.
    DataEnd,
    /// Within the lines after the last chunk.
    Trailers,
    Done,
}

/// The result of taking a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyStep {
    Data(Bytes),
    /// Nothing; more has to be read.
    More,
    End,
    Invalid(&'static str),
}

impl Framing {
    /// The framing that the head announces.
    pub(super) fn of<'a>(
        status: u16,
        mut encodings: impl Iterator<Item = &'a [u8]>,
        lengths: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, &'static str> {
        if matches!(status, 100..=199 | 204 | 304) {
            return Ok(Self::Length(0));
        }
        if let Some(encoding) = encodings.next() {
            let chunked = encoding.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return match (chunked, encodings.next()) {
                (true, None) => Ok(Self::Chunked(Chunked::default())),
                _ => Err("its answer has a transfer encoding other than `chunked`"),
            };
        }
        let mut length = None;
        // A proxy may have joined repeated headers into a list.
        for value in lengths.flat_map(|value| value.split(|byte| *byte == b',')) {
            let value = value.trim_ascii();
            let value = std::str::from_utf8(value)
                .ok()
                .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse::<u64>().ok())
                .ok_or("its answer has a content length that is not a number")?;
            if length.is_some_and(|known| known != value) {
                return Err("its answer has two content lengths");
            }
            length = Some(value);
        }
        Ok(length.map_or(Self::UntilClose, Self::Length))
    }

    pub(super) fn is_chunked(self) -> bool {
        matches!(self, Self::Chunked(_))
    }

    pub(super) fn ends_by_close(self) -> bool {
        self == Self::UntilClose
    }

    /// Takes the next piece of the body out of `buffer`.
    pub(super) fn step(&mut self, buffer: &mut BytesMut) -> BodyStep {
        match self {
            Self::Length(0) => BodyStep::End,
            Self::Length(left) => take(buffer, left),
            Self::UntilClose if buffer.is_empty() => BodyStep::More,
            Self::UntilClose => BodyStep::Data(buffer.split().freeze()),
            Self::Chunked(chunked) => chunked.step(buffer),
        }
    }
}

impl Chunked {
    fn step(&mut self, buffer: &mut BytesMut) -> BodyStep {
        const UNFRAMED: BodyStep = BodyStep::Invalid("chunks whose framing is not valid HTTP/1.1");
        loop {
            match &mut self.at {
                Chunk::Data(left) => {
                    let step = take(buffer, left);
                    if *left == 0 {
                        self.at = Chunk::DataEnd;
                    }
                    return step;
                }
                Chunk::Done => return BodyStep::End,
                Chunk::Size | Chunk::DataEnd | Chunk::Trailers => {}
            }
            let end = memchr::memchr(b'\n', buffer);
            // Judged by the length of the line, not by the size of one read.
            if end.unwrap_or(buffer.len()) > MAX_LINE {
                return BodyStep::Invalid("an endless line between chunks");
            }
            let Some(end) = end else { return BodyStep::More };
            // A line feed alone does not end a line here, and a carriage return is allowed only
            // before one.
            let line = buffer[..end].strip_suffix(b"\r");
            let Some(line) = line.filter(|line| !line.contains(&b'\r')) else { return UNFRAMED };
            let Some(next) = self.at.after(line) else { return UNFRAMED };
            if self.spend(end as u64 + 1, next) > MAX_OVERHEAD {
                return BodyStep::Invalid("more chunk framing than content");
            }
            buffer.advance(end + 1);
            self.at = next;
        }
    }

    /// Counts a line; each chunk allows for a usual line and for as many bytes as its content.
    fn spend(&mut self, line: u64, next: Chunk) -> u64 {
        let accounted = match next {
            Chunk::Data(size) => size.saturating_add(USUAL_LINE),
            _ => 0,
        };
        self.overhead = (self.overhead + line).saturating_sub(accounted);
        self.overhead
    }
}

impl Chunk {
    /// The state after a line.
    fn after(self, line: &[u8]) -> Option<Self> {
        match self {
            Self::DataEnd => line.is_empty().then_some(Self::Size),
            Self::Trailers if line.is_empty() => Some(Self::Done),
            Self::Trailers => Some(Self::Trailers),
            _ => {
                let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
                if digits.is_empty() || digits.len() > 15 {
                    return None;
                }
                let digits = std::str::from_utf8(digits).ok()?;
                let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                match u64::from_str_radix(digits, 16).ok().filter(|_| hex)? {
                    0 => Some(Self::Trailers),
                    size => Some(Self::Data(size)),
                }
            }
        }
    }
}

fn take(buffer: &mut BytesMut, left: &mut u64) -> BodyStep {
    if buffer.is_empty() {
        return BodyStep::More;
    }
    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
    *left -= len as u64;
    BodyStep::Data(buffer.split_to(len).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(input: &[u8], size: usize) -> Result<Vec<u8>, &'static str> {
        let mut framing = Framing::Chunked(Chunked::default());
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        for part in input.chunks(size) {
            buffer.extend_from_slice(part);
            loop {
                match framing.step(&mut buffer) {
                    BodyStep::Data(data) => body.extend_from_slice(&data),
                    BodyStep::More => break,
                    BodyStep::End => return Ok(body),
                    BodyStep::Invalid(what) => return Err(what),
                }
            }
        }
        Err("cut off")
    }

    #[test]
    fn chunks_are_the_same_however_they_arrive() {
        let input = b"5;x=y\r\nhello\r\n1\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext";
        for size in 1..input.len() {
            assert_eq!(decode(input, size).as_deref(), Ok(&b"hello 0123456789"[..]), "{size}");
        }
    }

    #[test]
    fn wrong_chunks_are_refused() {
        for input in [
            &b"x\r\n"[..],
            b"-1\r\n",
            b"+1\r\na\r\n",
            b"\r\n",
            b"ffffffffffffffff1\r\n",
            b"1\r\nab\r\n0\r\n\r\n",
            &[b'1'; 9000],
            b"1\na\r\n0\r\n\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1;x=\ry\r\na\r\n0\r\n\r\n",
            b" 1\r\na\r\n0\r\n\r\n",
            b"0x1\r\na\r\n0\r\n\r\n",
        ] {
            assert!(decode(input, 4096).is_err(), "{:?}", String::from_utf8_lossy(input));
        }
    }

    #[test]
    fn framing_is_bounded_by_what_it_frames() {
        let chunk = |extension: usize| format!("1;{}\r\na\r\n", "x".repeat(extension));
        let trailer = |length: usize| format!("T: {}\r\n", "x".repeat(length));
        for (body, expected) in [
            // Chunks of one byte are wasteful, but valid.
            (format!("{}0\r\n\r\n", chunk(0).repeat(50_000)), true),
            (format!("{}0\r\n\r\n", chunk(5000).repeat(2)), true),
            (format!("{}0\r\n\r\n", chunk(5000).repeat(4)), false),
            (format!("{}0\r\n\r\n", chunk(9000)), false),
            (format!("0\r\n{}\r\n", trailer(100).repeat(10)), true),
            (format!("0\r\n{}\r\n", trailer(100).repeat(1000)), false),
            (format!("0\r\n{}\r\n", trailer(9000)), false),
        ] {
            for size in [1000, body.len()] {
                let whole = decode(body.as_bytes(), size);
                assert_eq!(whole.is_ok(), expected, "{}: {:?}", &body[..20], whole.err());
            }
        }
    }

    #[test]
    fn the_head_decides_where_a_body_ends() {
        let of = |status, encodings: &[&str], lengths: &[&str]| {
            Framing::of(
                status,
                encodings.iter().map(|it| it.as_bytes()),
                lengths.iter().map(|it| it.as_bytes()),
            )
        };
        assert_eq!(of(200, &["Chunked"], &["7"]), Ok(Framing::Chunked(Chunked::default())));
        assert_eq!(of(200, &[], &["7", "7"]), Ok(Framing::Length(7)));
        assert_eq!(of(200, &[], &["7, 7"]), Ok(Framing::Length(7)));
        assert_eq!(of(200, &[], &[]), Ok(Framing::UntilClose));
        assert_eq!(of(204, &[], &["7"]), Ok(Framing::Length(0)));
        for (encodings, lengths) in [
            (&["gzip"][..], &[][..]),
            (&["gzip", "chunked"], &[]),
            (&[], &["7", "8"]),
            (&[], &["7, 8"]),
            (&[], &["-7"]),
            (&[], &[""]),
            (&[], &["18446744073709551616"]),
        ] {
            assert!(of(200, encodings, lengths).is_err(), "{encodings:?} {lengths:?}");
        }
    }
}
