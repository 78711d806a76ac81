//! Lines with fixed fields, for the line that every call gets. Like a `tracing` event, but each
//! field is written directly instead of being visited.

use super::{
    FILTER, LINES,
    escape::{self, EscapeForm},
    line::{self, decimal},
    sink,
};
use crate::LogFormat;
use std::time::Duration;
use tracing::Level;

/// A field's name in both formats; created by [`key!`](crate::key).
#[derive(Clone, Copy, Debug)]
pub struct Key {
    pub name: &'static str,
    /// With its JSON punctuation.
    pub json: &'static str,
}

/// A [`Key`] for a name without characters that JSON escapes.
#[macro_export]
macro_rules! key {
    ($name:literal) => {
        $crate::Key { name: $name, json: concat!(",\"", $name, "\":") }
    };
}

/// Writes a line, unless `RUST_LOG` filters it out.
pub fn write_line(
    (level, target): (Level, &'static str),
    message: &'static str,
    fields: impl FnOnce(&mut Fields<'_>),
) {
    let (Some(lines), Some(filter)) = (LINES.get(), FILTER.get()) else { return };
    if !filter.would_enable(target, &level) {
        return;
    }
    sink::write(level <= Level::WARN, |made, out| match lines.format {
        LogFormat::Json => {
            line::json_head(level, made, out);
            let mut line = Fields { json: true, out };
            line.literal(key!("message"), message);
            fields(&mut line);
            line::json_end(target, out);
        }
        LogFormat::Pretty => {
            line::pretty_head(level, (made, lines.colours), out);
            out.push(b' ');
            out.extend_from_slice(message.as_bytes());
            fields(&mut Fields { json: false, out });
            out.push(b'\n');
        }
    });
}

/// Builds fields that many lines share, once for each form of line.
pub fn prepared(fields: impl Fn(&mut Fields<'_>)) -> [Box<[u8]>; 2] {
    [false, true].map(|json| {
        let mut out = Vec::new();
        fields(&mut Fields { json, out: &mut out });
        out.into()
    })
}

/// The fields of one line.
#[derive(Debug)]
pub struct Fields<'a> {
    json: bool,
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    /// A text, escaped. Lines for people omit an empty one.
    #[inline]
    pub fn text(&mut self, key: Key, value: &str) {
        if self.json {
            self.out.extend_from_slice(key.json.as_bytes());
            self.out.push(b'"');
            escape::push(value, EscapeForm::Json, self.out);
            self.out.push(b'"');
        } else if !value.is_empty() {
            line::pretty_field(key.name, self.out, |out| out.extend_from_slice(value.as_bytes()));
        }
    }

    /// A text of the gateway's own, which needs no escapes.
    #[inline]
    pub fn literal(&mut self, key: Key, value: &str) {
        if !self.json {
            return self.text(key, value);
        }
        self.out.extend_from_slice(key.json.as_bytes());
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    /// Adds fields built by [`prepared`].
    #[inline]
    pub fn add_prepared(&mut self, fields: &[Box<[u8]>; 2]) {
        self.out.extend_from_slice(&fields[usize::from(self.json)]);
    }

    #[inline]
    pub fn maybe_text(&mut self, key: Key, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    #[inline]
    pub fn number(&mut self, key: Key, value: u64) {
        self.plain(key, |out| {
            out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
        });
    }

    #[inline]
    pub fn maybe_number(&mut self, key: Key, value: Option<u64>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    #[inline]
    pub fn truth(&mut self, key: Key, value: bool) {
        self.plain(key, |out| out.extend_from_slice(if value { b"true" } else { b"false" }));
    }

    /// Milliseconds with three decimals.
    #[inline]
    pub fn millis(&mut self, key: Key, value: Duration) {
        let micros = u64::try_from(value.as_micros()).unwrap_or(u64::MAX);
        self.plain(key, |out| decimal(micros, out));
    }

    #[inline]
    pub fn maybe_millis(&mut self, key: Key, value: Option<Duration>) {
        if let Some(value) = value {
            self.millis(key, value);
        }
    }

    /// A value that needs no quotes in either format.
    #[inline]
    fn plain(&mut self, key: Key, value: impl FnOnce(&mut Vec<u8>)) {
        if self.json {
            self.out.extend_from_slice(key.json.as_bytes());
        } else {
            self.out.push(b' ');
            self.out.extend_from_slice(key.name.as_bytes());
            self.out.push(b'=');
        }
        value(self.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: bool) -> String {
        let mut out = Vec::new();
        let mut fields = Fields { json, out: &mut out };
        fields.text(key!("model"), "a \"b\"\n");
        fields.text(key!("provider"), "");
        fields.literal(key!("outcome"), "ok");
        fields.add_prepared(&prepared(|fields| fields.text(key!("id"), "\n")));
        fields.maybe_text(key!("callback"), None);
        fields.number(key!("status"), 200);
        fields.maybe_number(key!("tokens"), None);
        fields.truth(key!("stream"), false);
        fields.millis(key!("duration_ms"), Duration::from_nanos(1_234_567));
        fields.maybe_millis(key!("first_token_ms"), None);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_form_has_its_own_quotes() {
        assert_eq!(
            written(true),
            ",\"model\":\"a \\\"b\\\"\\n\",\"provider\":\"\",\"outcome\":\"ok\",\"id\":\"\\n\",\"status\":200,\"stream\":false,\
             \"duration_ms\":1.234"
        );
        assert_eq!(
            written(false),
            " model=\"a \\\"b\\\"\\n\" outcome=ok id=\"\\n\" status=200 stream=false duration_ms=1.234"
        );
    }
}
