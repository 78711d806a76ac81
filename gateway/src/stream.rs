//! Lines out of bytes that arrive split anywhere, for server-sent events and for NDJSON.
//! Not here: what a line means (`provider`) and what is sent on (`server::relay`).

/// A line longer than this is no event of any dialect.
pub(crate) const MAX_LINE: usize = 32 * 1024 * 1024;

/// A line outgrew the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line of more than 32 MiB")]
pub(crate) struct TooLong;

/// Splits at `\n`; a `\r` before it goes too.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// The start of a line whose end has not come.
    partial: Vec<u8>,
}

impl Lines {
    /// Calls `line` for each line `bytes` complete, until it returns an error.
    pub(crate) fn push<E: From<TooLong>>(
        &mut self,
        mut bytes: &[u8],
        mut line: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            let (head, rest) = (&bytes[..end], &bytes[end + 1..]);
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

    /// What came after the last line's end.
    pub(crate) fn take_rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }
}

fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The payload of a `data` line of server-sent events; other lines and comments have none.
pub(crate) fn data(line: &[u8]) -> Option<&[u8]> {
    let payload = line.strip_prefix(b"data:")?;
    Some(payload.strip_prefix(b" ").unwrap_or(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(input: &[u8], size: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for chunk in input.chunks(size) {
            lines
                .push(chunk, |line| {
                    found.push(String::from_utf8_lossy(line).into_owned());
                    Ok::<(), TooLong>(())
                })
                .expect("short lines");
        }
        found
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        let input = b"data: a\r\n\r\n: comment\ndata:b\n\nrest";
        for size in 1..input.len() {
            assert_eq!(split(input, size), ["data: a", "", ": comment", "data:b", ""], "{size}");
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
