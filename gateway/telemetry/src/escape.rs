//! Escapes foreign text for a log line, so that it can neither end the line nor control a terminal,
//! and shortens long text.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

/// Whether a character could forge a line, control a terminal, change the order of displayed text
/// or hide in it: control characters (C0, DEL, C1), line separators, bidirectional controls, and
/// invisible characters (zero width, tags).
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Whether this byte may begin a character that is unsafe, or special in a JSON string. Free of
/// branches, so that many bytes are checked together.
const fn is_suspect(byte: u8) -> bool {
    (byte < 0x20)
        | (byte == b'"')
        | (byte == b'\\')
        | (byte == 0x7f)
        | (byte == 0xc2)
        | (byte == 0xd8)
        | (byte == 0xe1)
        | (byte == 0xe2)
        | (byte == 0xef)
        | (byte == 0xf3)
}

/// [`is_suspect`] for each byte: for the last bytes of a text, which are checked one by one.
static SUSPECTS: [bool; 256] = {
    let mut suspects = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        suspects[byte] = is_suspect(byte as u8);
        byte += 1;
    }
    suspects
};

fn has_suspects(text: &str) -> bool {
    let (together, rest) = text.as_bytes().as_chunks::<16>();
    let any = |sixteen: &[u8; 16]| sixteen.iter().fold(false, |any, it| any | is_suspect(*it));
    together.iter().any(any) || rest.iter().any(|byte| SUSPECTS[usize::from(*byte)])
}

/// The text with unsafe characters escaped as in Rust: `\n`, `\u{1b}`.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !has_suspects(text) || !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut escaped = Vec::with_capacity(text.len() + 8);
    push_escaped(text, EscapeForm::Plain, &mut escaped);
    Cow::Owned(String::from_utf8_lossy(&escaped).into_owned())
}

/// The first `most` characters, with a note of how many are missing.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    // A text has at most as many characters as bytes.
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}{}", &text[..end], missing(text.len() - end))),
        None => Cow::Borrowed(text),
    }
}

fn missing(bytes: usize) -> String {
    format!("…(+{bytes} bytes)")
}

/// The place that text is escaped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EscapeForm {
    /// The inside of a JSON string.
    Json,
    /// A line for people.
    Plain,
    /// The inside of quotes in such a line.
    Quoted,
}

/// The longest value in a line, in bytes before escaping.
const LONGEST: usize = 16 * 1024;

/// Writes one value: escapes it and leaves out what exceeds the limit.
pub(super) struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    form: EscapeForm,
    room: usize,
    left_out: usize,
}

impl<'a> Escaped<'a> {
    pub(super) fn new(form: EscapeForm, out: &'a mut Vec<u8>) -> Self {
        Self { out, form, room: LONGEST, left_out: 0 }
    }

    /// Adds a note of how much was left out.
    pub(super) fn finish(self) {
        if self.left_out > 0 {
            self.out.extend_from_slice(missing(self.left_out).as_bytes());
        }
    }
}

/// Writes one value that is in memory.
pub(super) fn push(text: &str, form: EscapeForm, out: &mut Vec<u8>) {
    let mut escaped = Escaped::new(form, out);
    let _ = escaped.write_str(text);
    escaped.finish();
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut taken = text;
        if text.len() > self.room {
            taken = &text[..text.floor_char_boundary(self.room)];
            self.left_out += text.len() - taken.len();
            self.room = 0;
        } else {
            self.room -= text.len();
        }
        push_escaped(taken, self.form, self.out);
        Ok(())
    }
}

fn push_escaped(text: &str, form: EscapeForm, out: &mut Vec<u8>) {
    // The usual case.
    if !has_suspects(text) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut plain = 0;
    for (at, character) in text.char_indices() {
        let special = matches!(character, '"' | '\\') && form != EscapeForm::Plain;
        if special || is_unsafe(character) {
            out.extend_from_slice(&text.as_bytes()[plain..at]);
            push_character(character, form, out);
            plain = at + character.len_utf8();
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}

fn push_character(character: char, form: EscapeForm, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let _ = match character {
        '"' => out.write_all(b"\\\""),
        '\\' => out.write_all(b"\\\\"),
        '\n' => out.write_all(b"\\n"),
        '\r' => out.write_all(b"\\r"),
        '\t' => out.write_all(b"\\t"),
        other if form == EscapeForm::Json => {
            let mut units = [0; 2];
            other.encode_utf16(&mut units).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))
        }
        other => write!(out, "{}", other.escape_unicode()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(text: &str, form: EscapeForm) -> String {
        let mut out = Vec::new();
        push(text, form, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_stays_one_line() {
        for (text, expected) in [
            ("plain – text", "plain – text"),
            ("say \"a\\b\"", "say \"a\\b\""),
            ("a\nERROR forged\u{1b}[2J", "a\\nERROR forged\\u{1b}[2J"),
            ("\u{9b}2J\u{85}\u{7f}", "\\u{9b}2J\\u{85}\\u{7f}"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
            ("a\u{200b}\u{ad}b\u{feff}\u{e0041}", "a\\u{200b}\\u{ad}b\\u{feff}\\u{e0041}"),
            ("\u{202e}txt\u{2066}\u{200f}\u{61c}", "\\u{202e}txt\\u{2066}\\u{200f}\\u{61c}"),
        ] {
            assert_eq!(one_line(text), expected);
            assert_eq!(escaped(text, EscapeForm::Plain), expected);
        }
    }

    #[test]
    fn text_cannot_leave_its_string() {
        assert_eq!(escaped("a\"b\\c\nd\u{1}é", EscapeForm::Json), "a\\\"b\\\\c\\nd\\u0001é");
        assert_eq!(escaped("a\"b\\c\u{1}", EscapeForm::Quoted), "a\\\"b\\\\c\\u{1}");
    }

    #[test]
    fn json_strings_are_read_back_as_they_were_and_hold_nothing_unsafe() {
        for from in [0, 0x1000, 0x2000, 0xf000, 0xe0000] {
            let every: String = (from..from + 0x1000).filter_map(char::from_u32).collect();
            let json = format!("\"{}\"", escaped(&every, EscapeForm::Json));
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), every);
            for form in [EscapeForm::Json, EscapeForm::Plain, EscapeForm::Quoted] {
                assert!(!escaped(&every, form).contains(is_unsafe), "{form:?}");
            }
        }
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        for (text, expected) in
            [("abc", "abc"), ("abcd", "abc…(+1 bytes)"), ("äöü", "äöü"), ("äöüß", "äöü…(+2 bytes)")]
        {
            assert_eq!(cut(text, 3), expected);
        }
        let long = "é".repeat(LONGEST);
        let written = escaped(&long, EscapeForm::Json);
        assert!(written.ends_with(&format!("é…(+{LONGEST} bytes)")));
        let mut out = Vec::new();
        let mut pieces = Escaped::new(EscapeForm::Json, &mut out);
        (0..LONGEST + 5).for_each(|_| pieces.write_str("x").unwrap());
        pieces.finish();
        assert!(out.ends_with("x…(+5 bytes)".as_bytes()) && out.len() < LONGEST + 20);
    }
}
