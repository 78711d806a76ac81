//! One pass over JSON bytes as they arrive: is it valid, and where are its top-level members?
//!
//! Text is never copied and no tree is built, so a long prompt costs little more than reading it
//! once. Feeding may stop anywhere, also within a character or an escape. Used for requests
//! (`body`), JSON replies and streamed frames (`provider`).

use std::ops::Range;

/// Nesting allowed; deeper input is refused rather than recursed into.
pub(crate) const MAX_DEPTH: u32 = 128;

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
    /// The rest of `true`, `false` or `null`.
    Literal(&'static [u8]),
    Number(Number),
    End,
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
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            let in_text = self.state == State::Text;
            at = if in_text { self.text(chunk, at)? } else { self.step(byte, at)? };
        }
        self.offset += chunk.len();
        Ok(())
    }

    /// Ends the document.
    pub(crate) fn finish(mut self) -> Result<Vec<Member>, ScanError> {
        self.end_number(0)?;
        if self.state == State::End { Ok(self.members) } else { Err(self.fail("unexpected end", 0)) }
    }

    fn fail(&self, expected: &'static str, at: usize) -> ScanError {
        ScanError { expected, offset: self.offset + at }
    }

    /// One byte outside the inside of a string; returns where to go on.
    fn step(&mut self, byte: u8, at: usize) -> Result<usize, ScanError> {
        let space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Escape => self.escape(byte, at)?,
            State::Unicode(left, number) => self.unicode(byte, left, number, at)?,
            State::Number(number) => {
                let Some(next) = number.after(byte) else {
                    self.end_number(at)?;
                    return Ok(at);
                };
                self.state = State::Number(next);
            }
            State::Literal(rest) => match rest {
                [next, rest @ ..] if *next == byte && rest.is_empty() => self.value_done(at + 1),
                [next, rest @ ..] if *next == byte => self.state = State::Literal(rest),
                _ => return Err(self.fail("expected `true`, `false` or `null`", at)),
            },
            _ if space => {}
            State::Value | State::FirstElement => self.value(byte, at)?,
            State::FirstKey | State::Key => self.key(byte, at)?,
            State::Colon if byte == b':' => self.state = State::Value,
            State::Colon => return Err(self.fail("expected `:` after a name", at)),
            State::AfterValue => self.after_value(byte, at)?,
            State::End => return Err(self.fail("expected the end", at)),
            State::Text => {}
        }
        Ok(at + 1)
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
            b't' => self.state = State::Literal(b"rue"),
            b'f' => self.state = State::Literal(b"alse"),
            b'n' => self.state = State::Literal(b"ull"),
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
        if self.partial.1 > 0 {
            return self.rest_of_character(chunk, at);
        }
        let rest = chunk.get(at..).unwrap_or_default();
        if self.high_surrogate && rest.first() != Some(&b'\\') {
            return Err(self.fail("expected the second half of a surrogate pair", at));
        }
        let (len, ascii) = plain_text(rest);
        if !ascii {
            self.check_utf8(&rest[..len], at, len == rest.len())?;
        }
        let Some(&stop) = rest.get(len) else { return Ok(at + len) };
        let at = at + len;
        match stop {
            b'"' => self.end_text(at),
            b'\\' => self.state = State::Escape,
            _ => return Err(self.fail("control character in a string", at)),
        }
        Ok(at + 1)
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

    fn check_utf8(&mut self, text: &[u8], at: usize, at_end: bool) -> Result<(), ScanError> {
        let Err(error) = std::str::from_utf8(text) else { return Ok(()) };
        let rest = &text[error.valid_up_to()..];
        if error.error_len().is_none() && at_end {
            self.partial.1 = rest.len();
            self.partial.0[..rest.len()].copy_from_slice(rest);
            return Ok(());
        }
        Err(self.fail("invalid UTF-8", at + error.valid_up_to()))
    }

    fn rest_of_character(&mut self, chunk: &[u8], at: usize) -> Result<usize, ScanError> {
        let (bytes, len) = &mut self.partial;
        bytes[*len] = chunk[at];
        *len += 1;
        match std::str::from_utf8(&bytes[..*len]) {
            Ok(_) => *len = 0,
            Err(error) if error.error_len().is_none() && *len < 4 => {}
            Err(_) => return Err(self.fail("invalid UTF-8", at)),
        }
        Ok(at + 1)
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

/// How many bytes of a string come before its end, an escape or a control character, and whether
/// all of them are ASCII. The blocks have the width that compilers turn into vector instructions.
fn plain_text(bytes: &[u8]) -> (usize, bool) {
    const BLOCK: usize = 32;
    let stops = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
    let (mut len, mut seen) = (0, 0);
    for block in bytes.chunks_exact(BLOCK) {
        let (stop, high) = block
            .iter()
            .fold((false, 0), |(stop, high), &byte| (stop | stops(byte), high | byte));
        if stop {
            break;
        }
        seen |= high;
        len += BLOCK;
    }
    for &byte in &bytes[len..] {
        if stops(byte) {
            break;
        }
        seen |= byte;
        len += 1;
    }
    (len, seen < 0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &[&str] = &[
        r#"{}"#,
        r#" {"a" : [1, -0.5e+3, "x\n\u00e9\ud83d\ude00", {"b": [ ]}], "é": null } "#,
        r#"{"model":"m","messages":[{"role":"user","content":"a long text that fills more than one block of it"}],"stream":true}"#,
        r#"[1,"é😀",true]"#,
        "0",
        r#""text""#,
    ];

    const INVALID: &[&[u8]] = &[
        b"", b" ", b"{", b"[1,]", b"{\"a\"}", b"{\"a\":}", b"{a:1}", b"{\"a\":1,}", b"{'a':1}",
        b"01", b"-", b"1.", b"1e", b"+1", b"NaN", b"Infinity", b"nul", b"truex", b"{} {}", b"\"a",
        b"\"\\x\"", b"\"\\u12g4\"", b"\"\\ud83d\"", b"\"\\ud83dx\"", b"\"\\ude00\"", b"\"a\nb\"",
        b"\"\xff\"", b"\"\xe9\"", b"\"\xc3", b"[}", b"{]", b"\xef\xbb\xbf{}", b"{\"a\":1 \"b\":2}",
    ];

    fn scan_in(bytes: &[u8], size: usize) -> Result<Vec<Member>, ScanError> {
        let mut scanner = Scanner::new();
        for chunk in bytes.chunks(size) {
            scanner.feed(chunk)?;
        }
        scanner.finish()
    }

    #[test]
    fn agrees_with_itself_however_the_bytes_arrive() {
        for text in VALID {
            let whole = Scanner::scan(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
            for size in 1..text.len() {
                assert_eq!(scan_in(text.as_bytes(), size), Ok(whole.clone()), "{text} by {size}");
            }
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
        for bytes in INVALID {
            for size in 1..=bytes.len().max(1) {
                assert!(scan_in(bytes, size).is_err(), "{:?}", String::from_utf8_lossy(bytes));
            }
        }
    }

    #[test]
    fn finds_the_members_of_the_top_level_only() {
        let text = r#"{ "a" : {"b": 1} , "c\u0064":[2], "n": -1.5}"#;
        let found: Vec<_> = Scanner::scan(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|member| (&text[member.name], member.escaped, &text[member.value]))
            .collect();
        assert_eq!(
            found,
            [("a", false, r#"{"b": 1}"#), (r"c\u0064", true, "[2]"), ("n", false, "-1.5")]
        );
    }

    #[test]
    fn finds_the_elements_of_an_array() {
        let text = r#"[{"a":1}, 2,"x"]"#;
        let found: Vec<_> = Scanner::scan(text.as_bytes())
            .unwrap()
            .into_iter()
            .map(|member| &text[member.value])
            .collect();
        assert_eq!(found, [r#"{"a":1}"#, "2", r#""x""#]);
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(Scanner::scan(&nested(128)).is_ok());
        assert_eq!(Scanner::scan(&nested(129)).unwrap_err().offset, 128);
        assert!(Scanner::scan(&nested(100_000)).is_err());
    }
}
