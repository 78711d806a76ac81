//! Splits bytes that arrive in any pieces into lines, for server-sent events and NDJSON.
//! `providers` interprets the lines, `server::relay` sends them on.

/// No event of any dialect has a longer line.
pub const MAX_LINE: usize = 32 * 1024 * 1024;

/// A line exceeded the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than 32 MiB")]
pub struct TooLong;

/// Splits at line ends. The default is NDJSON's: `\n`, or `\r\n`.
#[derive(Debug, Default)]
pub struct Lines {
    /// The beginning of a line that is not complete yet.
    partial: Vec<u8>,
    /// A lone `\r` ends a line, too.
    of_events: bool,
    /// The last byte was a `\r`, so that a following `\n` belongs to the same line end.
    after_return: bool,
}

impl Lines {
    /// With the line ends of server-sent events: `\n`, `\r\n` and `\r`.
    pub fn of_events() -> Self {
        Self { of_events: true, ..Self::default() }
    }

    /// Calls `line` for each line that `bytes` complete, until it returns an error.
    pub fn push<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.after_return
            && let Some((first, rest)) = bytes.split_first()
        {
            self.after_return = false;
            bytes = if *first == b'\n' { rest } else { bytes };
        }
        while let Some(end) = self.line_end(bytes) {
            let (head, ended) = bytes.split_at(end);
            let rest = match ended {
                [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
                [] => &[],
            };
            self.after_return = ended == b"\r";
            if self.partial.is_empty() {
                line(without_return(head))?;
            } else {
                self.partial.extend_from_slice(head);
                let whole = std::mem::take(&mut self.partial);
                line(without_return(&whole))?;
            }
            bytes = rest;
        }
        if self.partial.len() + bytes.len() > MAX_LINE {
            return Err(TooLong.into());
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    /// The number of bytes after the last line end.
    pub fn backlog(&self) -> usize {
        self.partial.len()
    }

    /// The bytes after the last line end.
    pub fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    fn line_end(&self, bytes: &[u8]) -> Option<usize> {
        if self.of_events {
            memchr::memchr2(b'\n', b'\r', bytes)
        } else {
            memchr::memchr(b'\n', bytes)
        }
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Skips meaningless bytes at the beginning of a body: a byte order mark, then blanks.
#[derive(Debug, Default)]
pub struct Leading {
    /// The bytes of the mark so far.
    mark: usize,
    over: bool,
}

impl Leading {
    const MARK: &'static [u8] = b"\xef\xbb\xbf";

    /// Returns the rest of `bytes` and, before it, bytes that looked like a mark but are none.
    pub fn skip<'a>(&mut self, bytes: &'a [u8]) -> [&'a [u8]; 2] {
        if self.over {
            return [&[], bytes];
        }
        let mut rest = bytes;
        if self.mark < Self::MARK.len() {
            let known = Self::MARK[self.mark..].iter().zip(bytes);
            let same = known.take_while(|(mark, byte)| mark == byte).count();
            self.mark += same;
            rest = &bytes[same..];
            if rest.is_empty() {
                return [&[], &[]];
            }
            if (1..Self::MARK.len()).contains(&self.mark) {
                self.over = true;
                return [&Self::MARK[..self.mark], rest];
            }
            self.mark = Self::MARK.len();
        }
        rest = rest.trim_ascii_start();
        self.over = !rest.is_empty();
        [&[], rest]
    }
}

/// The payload of a `data` line of server-sent events; `None` for other lines and comments.
pub fn data(line: &[u8]) -> Option<&[u8]> {
    let payload = line.strip_prefix(b"data:")?;
    Some(payload.strip_prefix(b" ").unwrap_or(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(mut lines: Lines, input: &[u8], size: usize) -> Vec<String> {
        let mut found = Vec::new();
        for chunk in input.chunks(size) {
            lines
                .push(chunk, |line| {
                    found.push(String::from_utf8_lossy(line).into_owned());
                    Ok::<(), TooLong>(())
                })
                .expect("short lines");
        }
        found.push(String::from_utf8_lossy(&lines.take_rest()).into_owned());
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let input = b"data: a\r\n\r\n: comment\ndata:b\n\nrest";
        let expected = ["data: a", "", ": comment", "data:b", "", "rest"];
        for size in 1..=input.len() {
            assert_eq!(split(Lines::default(), input, size), expected, "{size}");
            assert_eq!(split(Lines::of_events(), input, size), expected, "{size}");
        }
    }

    #[test]
    fn events_may_end_their_lines_by_any_of_three() {
        for (input, expected) in [
            ("a\rb\r\rc", &["a", "b", "", "c"][..]),
            ("a\r\nb\r\n\r\nc\r", &["a", "b", "", "c", ""]),
            ("a\n\rb\r\r\n\n", &["a", "", "b", "", "", ""]),
            ("\r", &["", ""]),
            ("\r\n", &["", ""]),
        ] {
            for size in 1..=input.len() {
                let found = split(Lines::of_events(), input.as_bytes(), size);
                assert_eq!(found, expected, "{input:?} {size}");
            }
        }
        // Between JSON values, as in a line of NDJSON, it is a blank.
        assert_eq!(split(Lines::default(), b"{\r}\n", 2), ["{\r}", ""]);
    }

    #[test]
    fn a_byte_order_mark_and_blanks_lead_nowhere() {
        for (input, expected) in [
            (&b"\xef\xbb\xbfdata"[..], &b"data"[..]),
            (b"\xef\xbb\xbf\r\n \tdata \n", b"data \n"),
            (b" \n data", b"data"),
            (b"data\xef\xbb\xbf", b"data\xef\xbb\xbf"),
            (b"\xef\xbbx", b"\xef\xbbx"),
            (b"\xefx", b"\xefx"),
            (b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb\xbf"),
            (b" \xef\xbb\xbf", b"\xef\xbb\xbf"),
            (b"", b""),
        ] {
            for size in 1..=input.len().max(1) {
                let mut leading = Leading::default();
                let found = input.chunks(size).flat_map(|chunk| leading.skip(chunk).concat());
                assert_eq!(found.collect::<Vec<_>>(), expected, "{input:?} {size}");
            }
        }
    }

    #[test]
    fn a_payload_follows_data_and_one_space() {
        for (line, expected) in [
            ("data: x", Some("x")),
            ("data:x", Some("x")),
            ("data:  x", Some(" x")),
            ("data", None),
            ("event: x", None),
            (": data: x", None),
        ] {
            assert_eq!(data(line.as_bytes()), expected.map(str::as_bytes), "{line}");
        }
    }
}
