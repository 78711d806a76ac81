//! The encoded forms of a secret: in a URL, in JSON text, in base64 as `Basic` credentials are.

/// A shorter piece of base64 could be anything.
const SHORTEST: usize = 12;

/// The forms that differ from the secret itself.
pub(super) fn of(secret: &str) -> Vec<String> {
    let mut forms = vec![url(secret, b"0123456789ABCDEF"), url(secret, b"0123456789abcdef")];
    let json = serde_json::Value::from(secret).to_string();
    let json = json.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or_default();
    forms.push(json.replace('/', r"\/"));
    forms.push(json.to_owned());
    // Go, Gson and .NET escape characters that are special in HTML, and JSON texts are nested in
    // others.
    for escaped in ["<>&", "<>&='", "<>&+'`"] {
        forms.push(json.chars().map(|c| escape(c, escaped)).collect());
    }
    for last_two in [b"+/", b"-_"] {
        forms.extend((0..3).filter_map(|offset| base64_inside(secret, offset, *last_two)));
    }
    forms.retain(|form| form != secret && form.len() >= secret.len().min(SHORTEST));
    forms
}

fn escape(character: char, escaped: &str) -> String {
    if escaped.contains(character) {
        return format!("\\u{:04x}", u32::from(character));
    }
    character.into()
}

/// Percent-encoded, except for characters that never are.
fn url(secret: &str, digits: &[u8; 16]) -> String {
    let mut out = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let digit = |value: u8| char::from(digits[usize::from(value & 15)]);
            out.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }
    out
}

/// The base64 characters that depend only on the secret, if `offset` bytes (modulo three) come
/// before it.
fn base64_inside(secret: &str, offset: usize, last_two: [u8; 2]) -> Option<String> {
    let symbol = |value: u8| match value {
        0..=25 => b'A' + value,
        26..=51 => b'a' + value - 26,
        52..=61 => b'0' + value - 52,
        62 => last_two[0],
        _ => last_two[1],
    };
    let bytes = secret.as_bytes();
    let bit = |at: usize| {
        let byte = bytes.get(at / 8).copied().unwrap_or_default();
        (byte >> (7 - at % 8)) & 1
    };
    // The first character whose bits are all the secret's.
    let begin = (6 - (offset * 8) % 6) % 6;
    let count = (bytes.len() * 8).checked_sub(begin)? / 6;
    let form: String = (0..count)
        .map(|index| (0..6).fold(0, |value, place| (value << 1) | bit(begin + index * 6 + place)))
        .map(|value| char::from(symbol(value)))
        .collect();
    (form.len() >= SHORTEST).then_some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_known_wherever_it_begins() {
        // With `u:`, `user:`, `us:` or `:` before the secret, as in Basic credentials.
        for (encoded, offset) in [
            ("c2stOWYzYzFlLXg=", 0),
            ("dTpzay05ZjNjMWUteA==", 2),
            ("dXNlcjpzay05ZjNjMWUteA==", 2),
            ("dXM6c2stOWYzYzFlLXg=", 0),
            ("OnNrLTlmM2MxZS14", 1),
        ] {
            let form = base64_inside("sk-9f3c1e-x", offset, *b"+/").unwrap();
            assert!(encoded.contains(&form), "{encoded}: {form}");
        }
    }

    #[test]
    fn a_plain_key_has_no_other_spelling_but_base64() {
        let forms = of("sk-9f3c1e-abcdef");
        assert!(forms.iter().all(|form| !form.contains("9f3c")), "{forms:?}");
        let forms = of("a/b+c\"d 1");
        for expected in ["a%2Fb%2Bc%22d%201", "a%2fb%2bc%22d%201", r#"a\/b+c\"d 1"#] {
            assert!(forms.iter().any(|form| form == expected), "{expected}: {forms:?}");
        }
    }
}
