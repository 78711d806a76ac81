//! A callback's log lines as `tracing` events: target [`TARGET`], field `callback.name`, and the
//! callback's own fields in `callback.fields` as `name=value` pairs (`tracing` fixes the names of
//! fields at compile time).

use std::borrow::Cow;
use std::fmt::{self, Write};

use plugin_api::Level;

/// The target of every callback's lines.
pub(super) const TARGET: &str = "callgate::callback";

/// Runs `$body` with the `tracing` level that belongs to `$level`: levels of events are constants.
macro_rules! with_level {
    ($level:expr, $constant:ident => $body:expr) => {
        match $level {
            Level::Error => with_level!(@ERROR, $constant => $body),
            Level::Warn => with_level!(@WARN, $constant => $body),
            Level::Info => with_level!(@INFO, $constant => $body),
            Level::Debug => with_level!(@DEBUG, $constant => $body),
            Level::Trace => with_level!(@TRACE, $constant => $body),
        }
    };
    (@$tracing:ident, $constant:ident => $body:expr) => {{
        const $constant: tracing::Level = tracing::Level::$tracing;
        $body
    }};
}

/// Whether anybody listens to callbacks at this level.
pub(super) fn enabled(level: Level) -> bool {
    with_level!(level, LEVEL => tracing::enabled!(target: TARGET, LEVEL))
}

/// Writes one line: what a callback logs can never start a second one.
pub(super) fn write(callback: &str, level: Level, message: &str, fields: &[(&str, &str)]) {
    if !enabled(level) {
        return;
    }
    let message = one_line(message);
    if fields.is_empty() {
        with_level!(level, LEVEL => tracing::event!(
            target: TARGET, LEVEL, callback.name = callback, "{message}"
        ));
    } else {
        let fields = Fields(fields);
        with_level!(level, LEVEL => tracing::event!(
            target: TARGET, LEVEL, callback.name = callback, callback.fields = %fields, "{message}"
        ));
    }
}

/// Control characters escaped: they could forge lines or steer a terminal.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        if character.is_control() {
            escaped.extend(character.escape_debug());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

struct Fields<'a>(&'a [(&'a str, &'a str)]);

/// `hook=on_llm_end text="two words"`
impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            write!(f, "{}=", one_line(name))?;
            let bare =
                |character: char| character.is_alphanumeric() || "-_.:/%+@".contains(character);
            if !value.is_empty() && value.chars().all(bare) {
                f.write_str(value)?;
            } else {
                write!(f, "{value:?}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Fields, one_line};

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("plain – text"), "plain – text");
        assert_eq!(one_line("a\nERROR forged\u{1b}[2J"), "a\\nERROR forged\\u{1b}[2J");
    }

    #[test]
    fn fields_can_be_read_back() {
        let fields = [("hook", "on_llm_end"), ("text", "two \"words\"\n"), ("empty", "")];
        assert_eq!(
            Fields(&fields).to_string(),
            r#"hook=on_llm_end text="two \"words\"\n" empty="""#
        );
    }
}
