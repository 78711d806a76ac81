//! Formats one event as one line.

use super::escape::{self, EscapeForm, Escaped};
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
pub(super) fn json(
    event: &Event<'_>,
    fields: &[(String, String)],
    made: SystemTime,
    out: &mut Vec<u8>,
) {
    json_head(*event.metadata().level(), made, out);
    event.record(&mut Json(out));
    json_fields(fields, out);
    json_end(event.metadata().target(), out);
}

/// The same without an event.
pub(super) fn plain_json(
    (level, target): (Level, &str),
    message: &str,
    fields: &[(&str, &str)],
    made: SystemTime,
    out: &mut Vec<u8>,
) {
    json_head(level, made, out);
    for (name, value) in [("message", message)].iter().chain(fields) {
        out.extend_from_slice(b",\"");
        escape::push(name, EscapeForm::Json, out);
        out.extend_from_slice(b"\":\"");
        escape::push(value, EscapeForm::Json, out);
        out.push(b'"');
    }
    json_end(target, out);
}

pub(super) fn json_head(level: Level, made: SystemTime, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"timestamp\":\"");
    timestamp(made, out);
    out.extend_from_slice(b"\",\"level\":\"");
    out.extend_from_slice(level.as_str().as_bytes());
    out.push(b'"');
}

pub(super) fn json_end(target: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"target\":\"");
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b"\"}\n");
}

/// `2026-11-22T15:26:23.436844Z  INFO message field=value`
pub(super) fn pretty(
    event: &Event<'_>,
    fields: &[(String, String)],
    (made, colours): (SystemTime, bool),
    out: &mut Vec<u8>,
) {
    pretty_head(*event.metadata().level(), (made, colours), out);
    event.record(&mut Pretty(out));
    for (name, value) in fields {
        pretty_field(name, out, |out| out.extend_from_slice(value.as_bytes()));
    }
    out.push(b'\n');
}

/// The same without an event.
pub(super) fn plain_pretty(
    level: Level,
    message: &str,
    fields: &[(&str, &str)],
    (made, colours): (SystemTime, bool),
    out: &mut Vec<u8>,
) {
    pretty_head(level, (made, colours), out);
    out.push(b' ');
    escape::push(message, EscapeForm::Plain, out);
    for (name, value) in fields {
        pretty_field(name, out, |out| out.extend_from_slice(value.as_bytes()));
    }
    out.push(b'\n');
}

pub(super) fn pretty_head(level: Level, (made, colours): (SystemTime, bool), out: &mut Vec<u8>) {
    timestamp(made, out);
    let colour = match level {
        Level::ERROR => "\u{1b}[31m",
        Level::WARN => "\u{1b}[33m",
        Level::INFO => "\u{1b}[32m",
        _ => "\u{1b}[34m",
    };
    let (on, off) = if colours { (colour, "\u{1b}[0m") } else { ("", "") };
    let _ = write!(out, " {on}{level:>5}{off}");
}

/// ` name=value`. An ambiguous value is quoted.
pub(super) fn pretty_field(name: &str, out: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(b' ');
    escape::push(name, EscapeForm::Plain, out);
    out.push(b'=');
    let start = out.len();
    value(out);
    let bare = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/%+@,()[]*".contains(byte);
    if out.len() > start && out[start..].iter().all(bare) {
        return;
    }
    let raw = out.split_off(start);
    out.push(b'"');
    escape::push(&String::from_utf8_lossy(&raw), EscapeForm::Quoted, out);
    out.push(b'"');
}

/// `,"callback.fields":{"hook":"on_llm_end"}`: a separate object, so that no name can be confused
/// with one of the line's.
fn json_fields(fields: &[(String, String)], out: &mut Vec<u8>) {
    if fields.is_empty() {
        return;
    }
    out.extend_from_slice(b",\"callback.fields\":{");
    for (index, (name, value)) in fields.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",\"" } else { b"\"" });
        escape::push(name, EscapeForm::Json, out);
        out.extend_from_slice(b"\":\"");
        escape::push(value, EscapeForm::Json, out);
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
        escape::push(value, EscapeForm::Json, self.0);
        self.0.push(b'"');
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.name(field);
        self.0.push(b'"');
        let mut escaped = Escaped::new(EscapeForm::Json, self.0);
        let _ = write!(escaped, "{value:?}");
        escaped.finish();
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
        // Three decimals, which is a microsecond for values in milliseconds.
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

/// A number of thousandths as a decimal, which needs no float formatting.
pub fn decimal(thousandths: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(thousandths / 1000).as_bytes());
    let rest = (thousandths % 1000) as usize;
    if rest > 0 {
        out.push(b'.');
        for digit in [rest / 100, rest / 10 % 10, rest % 10] {
            out.push(b'0' + digit as u8);
        }
    }
}

struct Pretty<'a>(&'a mut Vec<u8>);

impl Pretty<'_> {
    fn field(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if field.name() == "message" {
            self.0.push(b' ');
            let mut escaped = Escaped::new(EscapeForm::Plain, self.0);
            let _ = write!(escaped, "{value}");
            escaped.finish();
            return;
        }
        pretty_field(field.name(), self.0, |out| {
            let _ = write!(out, "{value}");
        });
    }
}

impl Visit for Pretty<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        // An empty value would be useless.
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
    // Written from the last digit of each part to its first, so that leading zeros stay.
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

/// The date of a day since 1970. It counts years from March, so that the leap day is their last.
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
    fn a_value_cannot_be_taken_for_another_field() {
        for (value, expected) in [
            ("gpt-4o:x/y", " model=gpt-4o:x/y"),
            ("", " model=\"\""),
            ("a status=200", " model=\"a status=200\""),
            ("a\"b\\", " model=\"a\\\"b\\\\\""),
            (
                "a\n2026 INFO call\u{1b}[31m\u{9b}",
                " model=\"a\\n2026 INFO call\\u{1b}[31m\\u{9b}\"",
            ),
            ("é", " model=\"é\""),
        ] {
            let mut out = Vec::new();
            pretty_field("model", &mut out, |out| out.extend_from_slice(value.as_bytes()));
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_no_event_has_the_same_form() {
        let (mut json, mut pretty) = (Vec::new(), Vec::new());
        let fields = [("place", "a b")];
        plain_json((Level::ERROR, "t"), "say \"no\"\n", &fields, UNIX_EPOCH, &mut json);
        plain_pretty(Level::WARN, "say \"no\"\n", &fields, (UNIX_EPOCH, false), &mut pretty);
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"ERROR\",\
             \"message\":\"say \\\"no\\\"\\n\",\"place\":\"a b\",\"target\":\"t\"}\n"
        );
        assert_eq!(
            String::from_utf8(pretty).unwrap(),
            "1970-01-01T00:00:00.000000Z  WARN say \"no\"\\n place=\"a b\"\n"
        );
    }
}
