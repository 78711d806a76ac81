//! Text of others in a line of ours.

use std::borrow::Cow;

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

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("plain – text"), "plain – text");
        assert_eq!(one_line("a\nERROR forged\u{1b}[2J"), "a\\nERROR forged\\u{1b}[2J");
    }
}
