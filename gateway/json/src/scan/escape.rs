//! Scans escapes within strings, byte by byte.

use super::{
    ScanError, Scanner, State,
    halves::{ALONE, Halves},
};

impl Scanner {
    /// For upstreams' JSON: a value may contain a lone surrogate. JSON allows it, and it is passed
    /// on unchanged.
    pub fn of_upstream() -> Self {
        Self { halves: Halves::Taken, ..Self::new() }
    }

    /// Whether values had lone surrogates so far.
    pub fn met_halves(&self) -> bool {
        self.halves == Halves::Met
    }

    /// Handles a lone surrogate. In a name it would be ambiguous.
    #[cold]
    pub(super) fn half(&mut self, problem: &'static str, at: usize) -> Result<(), ScanError> {
        if self.halves == Halves::Refused || self.in_key {
            return Err(self.fail(problem, at));
        }
        self.halves = Halves::Met;
        self.high_surrogate = false;
        Ok(())
    }

    pub fn escape(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
        if self.in_key && self.depth == 1 {
            self.name_escaped = true;
        }
        if self.high_surrogate && byte != b'u' {
            self.half(ALONE, at)?;
        }
        self.state = match byte {
            b'u' => State::Unicode(4, 0),
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Text,
            _ => return Err(self.fail("unknown escape in a string", at)),
        };
        Ok(())
    }

    pub(super) fn unicode(
        &mut self,
        byte: u8,
        left: u8,
        number: u16,
        at: usize,
    ) -> Result<(), ScanError> {
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
            self.half("lone surrogate in a string", at)?;
        }
        self.high_surrogate = (0xD800..0xDC00).contains(&number);
        Ok(())
    }
}
