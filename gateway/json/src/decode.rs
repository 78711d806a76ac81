//! Decodes a JSON string in pieces, so that the caller decides where the text is kept and how much
//! of it. A decoder that returns a string would hold it twice.

/// The length of `\u0041`.
const UNIT: usize = 6;

/// Calls `take` for each piece of a JSON string's text: not at all for another type of value or for
/// invalid UTF-8. Lone surrogates become U+FFFD.
pub fn decode_text(json: &[u8], mut take: impl FnMut(&str)) {
    let inside = json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let mut rest = super::text(inside.unwrap_or_default());
    loop {
        let at = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(at);
        if !plain.is_empty() {
            take(plain);
        }
        let Some((character, length)) = escaped(after.as_bytes()) else { return };
        take(character.encode_utf8(&mut [0; 4]));
        rest = after.get(length..).unwrap_or_default();
    }
}

/// The character of the escape at the start, and the length of the escape.
fn escaped(text: &[u8]) -> Option<(char, usize)> {
    let character = match text.get(1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        byte @ (b'"' | b'\\' | b'/') => char::from(*byte),
        b'u' => return unicode(text),
        _ => return None,
    };
    Some((character, 2))
}

fn unicode(text: &[u8]) -> Option<(char, usize)> {
    let second = unit(text.get(UNIT..)?);
    let mut units = char::decode_utf16([unit(text)?].into_iter().chain(second));
    let read = units.next()?.unwrap_or(char::REPLACEMENT_CHARACTER);
    Some((read, read.len_utf16() * UNIT))
}

/// The number of an escape such as `\u0041`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(text.get(..UNIT)?.strip_prefix(br"\u")?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(json: &str) -> String {
        let mut text = String::new();
        decode_text(json.as_bytes(), |piece| text.push_str(piece));
        text
    }

    #[test]
    fn texts_are_decoded_as_serde_json_does() {
        for json in [
            r#""""#,
            r#""plain é""#,
            r#""\"\\\/\b\f\n\r\t""#,
            r#""a\u0041b\u00e9\u65e5""#,
            r#""\ud83d\ude00x\uD83D\uDE00""#,
            r#""\\u0041""#,
        ] {
            assert_eq!(decoded(json), serde_json::from_str::<String>(json).unwrap(), "{json}");
        }
    }

    #[test]
    fn halves_are_replaced_and_what_is_no_text_is_nothing() {
        for (json, expected) in [
            (r#""\ud83d""#, "\u{fffd}"),
            (r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
            (r#""\ud83d\u0041""#, "\u{fffd}A"),
            ("7", ""),
            ("null", ""),
            (r#"["a"]"#, ""),
            ("\"", ""),
            (r#""a\x""#, "a"),
            (r#""a\u00""#, "a"),
        ] {
            assert_eq!(decoded(json), expected, "{json}");
        }
        decode_text(b"\"\xff\"", |piece| panic!("{piece}"));
    }
}
