//! One pass over JSON bytes as they arrive: is it valid, and where are its top-level members?
//!
//! Text is never copied and no tree is built, so a long prompt costs little more than reading it
//! once. Feeding may stop anywhere, also within a character or an escape. Used for requests
//! (`body`), JSON replies and streamed frames (`provider`).

use std::ops::Range;
use wide::u8x16;

/// Nesting allowed; deeper input is refused rather than recursed into.
pub(crate) const MAX_DEPTH: u32 = 128;

/// Members of the top-level object; more is refused: each costs memory of its own, and no API has
/// more than a few dozen.
pub(crate) const MAX_MEMBERS: usize = 4096;

/// A member of the top-level object, or an element of the top-level array (then without a name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// Between the quotes of its name.
    pub(crate) name: Range<usize>,
    /// Whether the name has escapes, so that its bytes are not its text.
    pub(crate) escaped: bool,
    /// The value's bytes.
    pub(crate) value: Range<usize>,
}

/// Why bytes are not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at byte {offset}")]
pub(crate) struct ScanError {
    pub(crate) expected: &'static str,
    pub(crate) offset: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    FirstElement,
    FirstKey,
    Key,
    Colon,
    AfterValue,
    Text,
    Escape,
    /// Hex digits still to come, and the number so far.
    Unicode(u8, u16),
    /// Within `true`, `false` or `null`, after so many of its bytes.
    Literal(Word, u8),
    Number(Number),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    True,
    False,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ESign,
    Exponent,
}

/// The scan in progress.
#[derive(Debug)]
pub(crate) struct Scanner {
    state: State,
    /// One bit a level, the innermost lowest: set for an object.
    objects: u128,
    depth: u32,
    offset: usize,
    /// The string being read is a name.
    in_key: bool,
    name_escaped: bool,
    /// A `\uD8xx` was read, its other half has to follow.
    high_surrogate: bool,
    /// The start of a character whose rest is in the next chunk.
    partial: ([u8; 4], usize),
    /// The name of the member whose value comes next.
    name: Range<usize>,
    members: Vec<Member>,
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Value,
            objects: 0,
            depth: 0,
            offset: 0,
            in_key: false,
            name_escaped: false,
            high_surrogate: false,
            partial: ([0; 4], 0),
            name: 0..0,
            members: Vec::with_capacity(12),
        }
    }

    /// Scans a whole document at once.
    pub(crate) fn scan(bytes: &[u8]) -> Result<Vec<Member>, ScanError> {
        let mut scanner = Self::new();
        scanner.feed(bytes)?;
        scanner.finish()
    }

    /// Scans the next bytes.
    pub(crate) fn feed(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        self.check_utf8(chunk)?;
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            at = match self.state {
                State::Text => self.text(chunk, at)?,
                State::Number(number) => self.number(chunk, at, number)?,
                _ => {
                    self.step(byte, at)?;
                    at + 1
                }
            };
        }
        self.offset += chunk.len();
        Ok(())
    }

    /// Ends the document.
    pub(crate) fn finish(mut self) -> Result<Vec<Member>, ScanError> {
        self.end_number(0)?;
        if self.partial.1 > 0 {
            return Err(self.fail("invalid UTF-8", 0));
        }
        if self.state == State::End {
            Ok(self.members)
        } else {
            Err(self.fail("unexpected end", 0))
        }
    }

    #[cold]
    fn fail(&self, expected: &'static str, at: usize) -> ScanError {
        ScanError { expected, offset: self.offset + at }
    }

    /// One byte outside of strings and numbers.
    #[inline]
    fn step(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        match self.state {
            State::Escape => self.escape(byte, at),
            State::Unicode(left, number) => self.unicode(byte, left, number, at),
            State::Literal(word, seen) => self.literal(byte, word, seen, at),
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => Ok(()),
            State::Value | State::FirstElement => self.value(byte, at),
            State::FirstKey | State::Key => self.key(byte, at),
            State::Colon if byte == b':' => {
                self.state = State::Value;
                Ok(())
            }
            State::Colon => Err(self.fail("expected `:` after a name", at)),
            State::AfterValue => self.after_value(byte, at),
            State::End => Err(self.fail("expected the end", at)),
            State::Text | State::Number(_) => Ok(()),
        }
    }

    fn literal(&mut self, byte: u8, word: Word, seen: u8, at: usize) -> Result<(), ScanError> {
        let text: &[u8] = match word {
            Word::True => b"true",
            Word::False => b"false",
            Word::Null => b"null",
        };
        let seen = usize::from(seen);
        if text.get(seen) != Some(&byte) {
            return Err(self.fail("expected `true`, `false` or `null`", at));
        }
        if seen + 1 == text.len() {
            self.value_done(at + 1);
        } else {
            self.state = State::Literal(word, seen as u8 + 1);
        }
        Ok(())
    }

    /// The bytes of a number from `at`; returns where it ends.
    fn number(
        &mut self,
        chunk: &[u8],
        mut at: usize,
        mut number: Number,
    ) -> Result<usize, ScanError> {
        while let Some(&byte) = chunk.get(at) {
            match number.after(byte) {
                Some(next) => number = next,
                None => {
                    self.state = State::Number(number);
                    self.end_number(at)?;
                    return Ok(at);
                }
            }
            at += 1;
        }
        self.state = State::Number(number);
        Ok(at)
    }

    fn value(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        if byte == b']' && self.state == State::FirstElement {
            self.close(at);
            return Ok(());
        }
        if self.depth == 1 {
            let start = self.offset + at;
            let name = std::mem::replace(&mut self.name, 0..0);
            self.members.push(Member { name, escaped: self.name_escaped, value: start..start });
        }
        match byte {
            b'{' => self.open(true, at)?,
            b'[' => self.open(false, at)?,
            b'"' => self.state = State::Text,
            b't' => self.state = State::Literal(Word::True, 1),
            b'f' => self.state = State::Literal(Word::False, 1),
            b'n' => self.state = State::Literal(Word::Null, 1),
            b'-' => self.state = State::Number(Number::Minus),
            b'0' => self.state = State::Number(Number::Zero),
            b'1'..=b'9' => self.state = State::Number(Number::Integer),
            _ => return Err(self.fail("expected a value", at)),
        }
        Ok(())
    }

    fn key(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        match byte {
            b'"' => {
                self.state = State::Text;
                self.in_key = true;
                if self.depth == 1 {
                    if self.members.len() >= MAX_MEMBERS {
                        return Err(self.fail("more than 4096 members at the top level", at));
                    }
                    self.name = self.offset + at + 1..0;
                    self.name_escaped = false;
                }
                Ok(())
            }
            b'}' if self.state == State::FirstKey => {
                self.close(at);
                Ok(())
            }
            _ => Err(self.fail("expected a name in double quotes", at)),
        }
    }

    fn after_value(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        let in_object = self.objects & 1 == 1;
        match byte {
            b',' => self.state = if in_object { State::Key } else { State::Value },
            b'}' if in_object => self.close(at),
            b']' if !in_object => self.close(at),
            _ if in_object => return Err(self.fail("expected `,` or `}`", at)),
            _ => return Err(self.fail("expected `,` or `]`", at)),
        }
        Ok(())
    }

    fn open(&mut self, object: bool, at: usize) -> Result<(), ScanError> {
        if self.depth == MAX_DEPTH {
            return Err(self.fail("nested deeper than 128 levels", at));
        }
        self.depth += 1;
        self.objects = (self.objects << 1) | u128::from(object);
        self.state = if object { State::FirstKey } else { State::FirstElement };
        Ok(())
    }

    fn close(&mut self, at: usize) {
        self.depth -= 1;
        self.objects >>= 1;
        self.value_done(at + 1);
    }

    /// A value ended before `at`.
    fn value_done(&mut self, at: usize) {
        self.state = if self.depth == 0 { State::End } else { State::AfterValue };
        if self.depth == 1
            && let Some(member) = self.members.last_mut()
        {
            member.value.end = self.offset + at;
        }
    }

    fn end_number(&mut self, at: usize) -> Result<(), ScanError> {
        match self.state {
            State::Number(number) if number.complete() => {
                self.value_done(at);
                Ok(())
            }
            State::Number(_) => Err(self.fail("expected a digit", at)),
            _ => Ok(()),
        }
    }

    /// The inside of a string from `at`; returns where to go on.
    fn text(&mut self, chunk: &[u8], at: usize) -> Result<usize, ScanError> {
        if self.high_surrogate && chunk.get(at) != Some(&b'\\') {
            return Err(self.fail("expected the second half of a surrogate pair", at));
        }
        // Names and the halves of a surrogate pair are looked at escape by escape.
        let plainly = !self.high_surrogate && !self.in_key;
        let at = if plainly { past_text(chunk, at) } else { at + plain_text(&chunk[at..]) };
        match chunk.get(at) {
            None => Ok(at),
            Some(b'"') => {
                self.end_text(at);
                Ok(at + 1)
            }
            Some(b'\\') => {
                self.state = State::Escape;
                Ok(at + 1)
            }
            Some(_) => Err(self.fail("control character in a string", at)),
        }
    }

    fn end_text(&mut self, at: usize) {
        if self.in_key {
            self.in_key = false;
            self.state = State::Colon;
            if self.depth == 1 {
                self.name.end = self.offset + at;
            }
        } else {
            self.value_done(at + 1);
        }
    }

    /// Characters may be cut by the end of a chunk, and go on in the next.
    fn check_utf8(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        let mut from = 0;
        while self.partial.1 > 0 {
            let Some(&byte) = chunk.get(from) else { return Ok(()) };
            let (bytes, len) = &mut self.partial;
            bytes[*len] = byte;
            *len += 1;
            match std::str::from_utf8(&bytes[..*len]) {
                Ok(_) => *len = 0,
                Err(error) if error.error_len().is_none() && *len < 4 => {}
                Err(_) => return Err(self.fail("invalid UTF-8", from)),
            }
            from += 1;
        }
        let Err(error) = simdutf8::compat::from_utf8(&chunk[from..]) else { return Ok(()) };
        let rest = &chunk[from + error.valid_up_to()..];
        if error.error_len().is_some() {
            return Err(self.fail("invalid UTF-8", from + error.valid_up_to()));
        }
        self.partial.1 = rest.len();
        self.partial.0[..rest.len()].copy_from_slice(rest);
        Ok(())
    }

    fn escape(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        if self.in_key && self.depth == 1 {
            self.name_escaped = true;
        }
        self.state = match byte {
            b'u' => State::Unicode(4, 0),
            _ if self.high_surrogate => {
                return Err(self.fail("expected the second half of a surrogate pair", at));
            }
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Text,
            _ => return Err(self.fail("unknown escape in a string", at)),
        };
        Ok(())
    }

    fn unicode(&mut self, byte: u8, left: u8, number: u16, at: usize) -> Result<(), ScanError> {
        let Some(digit) = char::from(byte).to_digit(16) else {
            return Err(self.fail("expected four hex digits after `\\u`", at));
        };
        let number = (number << 4) | digit as u16;
        if left > 1 {
            self.state = State::Unicode(left - 1, number);
            return Ok(());
        }
        self.state = State::Text;
        let low = (0xDC00..0xE000).contains(&number);
        if low != self.high_surrogate {
            return Err(self.fail("lone surrogate in a string", at));
        }
        self.high_surrogate = (0xD800..0xDC00).contains(&number);
        Ok(())
    }
}

impl Number {
    fn after(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::E, b'+' | b'-') => Self::ESign,
            (Self::E | Self::ESign | Self::Exponent, b'0'..=b'9') => Self::Exponent,
            _ => return None,
        })
    }

    fn complete(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }
}

/// The first byte from `at` that ends a string, or is an escape that is none of the usual ones, or
/// a control character. Prompts are mostly text, line breaks and quotes: those are passed here.
fn past_text(chunk: &[u8], mut at: usize) -> usize {
    loop {
        at += plain_text(&chunk[at.min(chunk.len())..]);
        match chunk.get(at..) {
            Some([b'\\', b'n' | b'"' | b'\\' | b't' | b'r' | b'/', ..]) => at += 2,
            _ => return at,
        }
    }
}

/// How many bytes of a string come before its end, an escape or a control character.
fn plain_text(bytes: &[u8]) -> usize {
    let mut len = 0;
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let block = u8x16::new(*block);
        let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
        let stops =
            block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\')) | control;
        let stops = stops.to_bitmask();
        if stops != 0 {
            return len + stops.trailing_zeros() as usize;
        }
        len += 16;
    }
    let stop = |byte: &u8| matches!(byte, b'"' | b'\\') || *byte < 0x20;
    len + tail.iter().position(stop).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests;
