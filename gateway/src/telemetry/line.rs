//! One event as one line.

use super::one_line;
use std::{
    fmt::{self, Write as _},
    io::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// `{"timestamp":…,"level":…,"message":…,…fields,"target":…}`
pub(super) fn json(event: &Event<'_>, fields: &[(String, String)], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(SystemTime::now(), out);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(event.metadata().level().as_str().as_bytes());
    out.push(b'"');
    event.record(&mut Json(out));
    json_fields(fields, out);
    out.extend_from_slice(b",\"target\":\"");
    out.extend_from_slice(event.metadata().target().as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// `2026-11-22T15:26:23.436844Z  INFO message field=value`
pub(super) fn pretty(
    event: &Event<'_>,
    fields: &[(String, String)],
    colours: bool,
    out: &mut Vec<u8>,
) {
    timestamp(SystemTime::now(), out);
    let level = *event.metadata().level();
    let colour = match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[34m",
    };
    let (on, off) = if colours { (colour, "\u{1b}[0m") } else { ("", "") };
    let _ = write!(out, " {on}{level:>5}{off}");
    event.record(&mut Pretty(out));
    for (name, value) in fields {
        let bare = |character: char| character.is_alphanumeric() || "-_.:/%+@".contains(character);
        let name = one_line(name);
        let _ = if !value.is_empty() && value.chars().all(bare) {
            write!(out, " {name}={value}")
        } else {
            write!(out, " {name}={value:?}")
        };
    }
    out.push(b'\n');
}

/// `,"callback.fields":{"hook":"on_llm_end"}`: an object of their own, so that no name can be taken
/// for one of the line's.
fn json_fields(fields: &[(String, String)], out: &mut Vec<u8>) {
    if fields.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"callback.fields\":{");
    for (index, (name, value)) in fields.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
        let _ = Escaped(out).write_str(name);
        out.extend_from_slice(b"\":\"");
        let _ = Escaped(out).write_str(value);
        out.push(b'"');
    }
    out.push(b'}');
}

struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn name(&mut self, field: &Field) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(field.name().as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn integer(&mut self, field: &Field, value: impl itoa::Integer) {
        self.name(field);
        self.0.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

impl Visit for Json<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.name(field);
        self.0.push(b'"');
        let _ = Escaped(self.0).write_str(value);
        self.0.push(b'"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.0.push(b'"');
        let _ = write!(Escaped(self.0), "{value:?}");
        self.0.push(b'"');
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.integer(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.integer(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.name(field);
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // To the thousandth, which is a microsecond where milliseconds are told.
        let thousandths = (value * 1e3).round();
        if (0.0..1e15).contains(&thousandths) {
            self.name(field);
            decimal(thousandths as u64, self.0);
        } else if value.is_finite() {
            self.name(field);
            let _ = write!(self.0, "{value}");
        }
    }
}

/// A number of thousandths, without the machinery that shortest decimals of floats need.
pub(crate) fn decimal(thousandths: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(thousandths / 1000).as_bytes());
    let rest = (thousandths % 1000) as usize;
    if rest > 0 {
        out.push(b'.');
        for digit in [rest / 100, rest / 10 % 10, rest % 10] {
            out.push(b'0' + digit as u8);
        }
    }
}

/// Bytes that text in a JSON string must not have as they are.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut control = 0;
    while control < 0x20 {
        special[control] = true;
        control += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};

/// Text as the inside of a JSON string.
struct Escaped<'a>(&'a mut Vec<u8>);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        // Almost always; without a branch a byte, so that many are looked at together.
        let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
        if !rest.iter().fold(false, |found, byte| found | special(*byte)) {
            self.0.extend_from_slice(rest);
            return Ok(());
        }
        while let Some(at) = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]) {
            self.0.extend_from_slice(&rest[..at]);
            match rest[at] {
                b'"' => self.0.extend_from_slice(b"\\\""),
                b'\\' => self.0.extend_from_slice(b"\\\\"),
                b'\n' => self.0.extend_from_slice(b"\\n"),
                other => {
                    let _ = write!(self.0, "\\u{other:04x}");
                }
            }
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        Ok(())
    }
}

struct Pretty<'a>(&'a mut Vec<u8>);

impl Pretty<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let _ = match field.name() {
            "message" => write!(self.0, " {value}"),
            name => write!(self.0, " {name}={value}"),
        };
    }
}

impl Visit for Pretty<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // An empty value says nothing.
        if !value.is_empty() {
            self.field(field, format_args!("{value}"));
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format_args!("{value:?}"));
    }
}

/// RFC 3339 in UTC, to the microsecond.
fn timestamp(now: SystemTime, out: &mut Vec<u8>) {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (4, year),
        (7, month),
        (10, day),
        (13, second / 3600),
        (16, second / 60 % 60),
        (19, second % 60),
        (26, since.subsec_micros().into()),
    ];
    // From the last digit of each part to its first: what is left of a part keeps its zeros.
    for (end, mut value) in parts {
        for digit in text[..end].iter_mut().rev() {
            if value == 0 {
                break;
            }
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    out.extend_from_slice(&text);
}

/// The date of a day since 1970: years of 365.2425 days that begin in March, so that the leap day
/// is their last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_rfc_3339() {
        for (micros, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_001, "2000-02-29T00:00:00.000001Z"),
            (1_709_251_199_999_999, "2024-02-29T23:59:59.999999Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            let mut out = Vec::new();
            timestamp(UNIX_EPOCH + Duration::from_micros(micros), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn decimals_have_up_to_three_places() {
        for (thousandths, expected) in [(0, "0"), (1, "0.001"), (1_500, "1.500"), (12_000, "12")] {
            let mut out = Vec::new();
            decimal(thousandths, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn fields_are_members_of_one_object() {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut out = Vec::new();
        json_fields(&[field("a\"b", "two\nlines"), field("level", "")], &mut out);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, r#","callback.fields":{"a\"b":"two\nlines","level":""}"#);
        let mut out = Vec::new();
        json_fields(&[], &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn text_cannot_leave_its_string() {
        let mut out = Vec::new();
        Escaped(&mut out).write_str("a\"b\\c\nd\u{1}é").unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "a\\\"b\\\\c\\nd\\u0001é");
    }
}
