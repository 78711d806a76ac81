//! Scans JSON bytes in one pass as they arrive: are they valid, and where are the top-level
//! members?
//!
//! Text is never copied and no tree is built, so a long prompt costs little more than reading it
//! once. Input may be split anywhere, even within a character or an escape. Used for requests
//! (`body`), JSON replies and streamed frames (`providers`).

mod blocks;
mod escape;
mod halves;
mod member_list;
mod number;
mod stops;

use super::passed;
use blocks::Blocks;
use halves::{ALONE, Halves};
pub use member_list::MemberList;
use number::Number;
use std::ops::Range;
use stops::Stops;

/// Nesting allowed; deeper input is refused rather than recursed into.
pub(crate) const MAX_DEPTH: u32 = 128;

/// The most members of the top-level object, because each costs extra memory; no API has more than
/// a few dozen.
pub(crate) const MAX_MEMBERS: usize = 4096;

/// A member of the top-level object, or an element of the top-level array (then without a name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The range of its name, between the quotes.
    pub name: Range<usize>,
    /// Whether the name has escapes, so that its bytes differ from its text.
    pub escaped: bool,
    /// The range of the value.
    pub value: Range<usize>,
}

/// Why bytes are not JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{expected} at byte {offset}")]
pub struct ScanError {
    pub expected: &'static str,
    pub offset: usize,
}

impl ScanError {
    const END: &str = "unexpected end";

    /// Whether the only problem is that the input ends too soon.
    pub fn is_cut(&self) -> bool {
        self.expected == Self::END
    }
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
    /// The number of hex digits still to come, and the value so far.
    Unicode(u8, u16),
    /// Within `true`, `false` or `null`, with the number of bytes so far.
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

/// The scan in progress.
#[derive(Debug)]
pub struct Scanner {
    state: State,
    /// One bit for each level, the innermost lowest: set for an object.
    objects: u128,
    depth: u32,
    offset: usize,
    /// The current string is a name.
    in_key: bool,
    name_escaped: bool,
    /// After a `\uD8xx`, so that its other half has to follow.
    high_surrogate: bool,
    /// Whether values may contain lone surrogates, and whether one was found.
    halves: Halves,
    /// The beginning of a character that continues in the next chunk.
    partial: ([u8; 4], usize),
    /// The name of the member whose value comes next.
    name: Range<usize>,
    members: MemberList,
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
            halves: Halves::Refused,
            partial: ([0; 4], 0),
            name: 0..0,
            members: MemberList::new(),
        }
    }

    /// Scans a whole document.
    pub fn scan(bytes: &[u8]) -> Result<MemberList, ScanError> {
        let mut scanner = Self::new();
        scanner.feed(bytes)?;
        scanner.finish()
    }

    /// Whether the only problem of an upstream's JSON is that it ends too soon.
    pub fn is_cut(bytes: &[u8]) -> bool {
        let mut scanner = Self::of_upstream();
        let scanned = scanner.feed(bytes).and_then(|()| scanner.finish());
        scanned.is_err_and(|error| error.is_cut())
    }

    /// Scans the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        passed::add(chunk.len());
        self.check_utf8(chunk)?;
        blocks::with_best(Walk { scanner: self, chunk })?;
        self.offset += chunk.len();
        Ok(())
    }

    /// Ends the document.
    pub fn finish(mut self) -> Result<MemberList, ScanError> {
        if self.depth > 0 || self.partial.1 > 0 {
            return Err(self.fail(ScanError::END, 0));
        }
        self.end_number(0)?;
        if self.state == State::End { Ok(self.members) } else { Err(self.fail(ScanError::END, 0)) }
    }

    #[cold]
    fn fail(&self, expected: &'static str, at: usize) -> ScanError {
        ScanError { expected, offset: self.offset + at }
    }

    /// Handles one byte outside of strings and numbers.
    #[inline(always)]
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

    /// Whether a whole `true` or `null` is at `at`; then it becomes the value.
    #[inline(always)]
    fn word(&mut self, chunk: &[u8], at: usize) -> bool {
        let found = chunk.get(at..).and_then(|rest| rest.first_chunk::<4>());
        if !matches!(found, Some(b"null" | b"true")) {
            return false;
        }
        self.begin_value(at);
        self.value_done(at + 4);
        true
    }

    /// Scans the bytes of a number from `at`; returns its end.
    fn number(
        &mut self,
        chunk: &[u8],
        mut at: usize,
        mut number: Number,
    ) -> Result<usize, ScanError> {
        while let Some(&byte) = chunk.get(at) {
            if byte.is_ascii_digit() && number.goes_on() {
                at += 1;
                continue;
            }
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
        self.begin_value(at);
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

    /// Records that a value ended before `at`.
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

    /// Scans the inside of a string from `at`, and the strings that follow it in the usual form;
    /// returns where to continue.
    #[inline(always)]
    fn text(
        &mut self,
        stops: &mut Stops<'_, impl Blocks>,
        chunk: &[u8],
        mut at: usize,
    ) -> Result<usize, ScanError> {
        if self.high_surrogate && chunk.get(at) != Some(&b'\\') {
            self.half(ALONE, at)?;
        }
        loop {
            // In names and within surrogate pairs, every escape is checked.
            at = stops.next(at, self.in_key | self.high_surrogate);
            match chunk.get(at) {
                None => return Ok(at),
                Some(b'"') => {}
                Some(b'\\') => {
                    self.state = State::Escape;
                    return Ok(at + 1);
                }
                Some(_) => return Err(self.fail("control character in a string", at)),
            }
            let follows = chunk.get(at..).unwrap_or_default();
            if self.in_key {
                self.end_key(at);
                if !follows.starts_with(b"\":") {
                    return Ok(at + 1);
                }
                if follows.get(2) != Some(&b'"') {
                    self.state = State::Value;
                    return Ok(at + 2);
                }
                self.begin_value(at + 2);
                at += 3;
            } else if self.depth > 2 && self.objects & 3 == 1 && follows.starts_with(b"\"},{\"") {
                // From one object of an array directly to the next, as between messages.
                self.in_key = true;
                at += 5;
            } else {
                self.value_done(at + 1);
                at = self.next_key(chunk, at + 1);
                if self.state != State::Text {
                    return Ok(at);
                }
            }
            self.state = State::Text;
        }
    }

    /// Scans from the `{` at `at` into the first name.
    fn object(&mut self, at: usize) -> Result<usize, ScanError> {
        self.begin_value(at);
        self.open(true, at)?;
        self.key(b'"', at + 1)?;
        Ok(at + 2)
    }

    /// After a value: skips the closing brackets and goes into the next name, if they follow
    /// directly.
    #[inline(always)]
    fn next_key(&mut self, chunk: &[u8], mut at: usize) -> usize {
        while self.depth > 0
            && let Some(byte) = chunk.get(at)
            && *byte == if self.objects & 1 == 1 { b'}' } else { b']' }
        {
            self.close(at);
            at += 1;
        }
        let follows = chunk.get(at..).is_some_and(|rest| rest.starts_with(b",\""));
        if !follows || self.objects & 1 == 0 || self.depth == 0 {
            return at;
        }
        if self.depth == 1 {
            if self.members.len() >= MAX_MEMBERS {
                return at;
            }
            self.name = self.offset + at + 2..0;
            self.name_escaped = false;
        }
        self.in_key = true;
        self.state = State::Text;
        at + 2
    }

    #[inline(always)]
    fn end_key(&mut self, at: usize) {
        self.in_key = false;
        self.state = State::Colon;
        if self.depth == 1 {
            self.name.end = self.offset + at;
        }
    }

    /// Records that a value begins at `at`.
    fn begin_value(&mut self, at: usize) {
        if self.depth == 1 {
            let start = self.offset + at;
            let name = std::mem::replace(&mut self.name, 0..0);
            self.members.push(Member { name, escaped: self.name_escaped, value: start..start });
        }
    }

    /// Checks UTF-8; a character may continue in the next chunk.
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
}

/// A scanner and its position in a chunk.
struct Walk<'a> {
    scanner: &'a mut Scanner,
    chunk: &'a [u8],
}

impl blocks::Work for Walk<'_> {
    type Output = Result<(), ScanError>;

    #[inline(always)]
    fn run(self, blocks: impl Blocks) -> Self::Output {
        let Self { scanner, chunk } = self;
        let mut stops = Stops::new(blocks, chunk, scanner.state == State::Escape);
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            let state = scanner.state;
            at = match state {
                State::Text => scanner.text(&mut stops, chunk, at)?,
                State::Number(number) => {
                    let at = scanner.number(chunk, at, number)?;
                    scanner.next_key(chunk, at)
                }
                State::Value if scanner.word(chunk, at) => scanner.next_key(chunk, at + 4),
                State::Value | State::FirstElement
                    if chunk.get(at..).is_some_and(|rest| rest.starts_with(b"{\"")) =>
                {
                    scanner.object(at)?
                }
                _ => {
                    scanner.step(byte, at)?;
                    at + 1
                }
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
