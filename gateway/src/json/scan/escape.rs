//! Escapes within strings, byte by byte.

use super::{ScanError, Scanner, State};

impl Scanner {
    pub(super) fn escape(&mut self, byte: u8, at: usize) -> Result<(), ScanError> {
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
            return Err(self.fail("lone surrogate in a string", at));
        }
        self.high_surrogate = (0xD800..0xDC00).contains(&number);
        Ok(())
    }
}
