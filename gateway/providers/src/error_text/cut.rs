//! Completes JSON that was cut off: the error's message may have arrived anyway.

/// `json` with its open text, objects and lists closed; `None` if it is not cut off.
pub(super) fn completed(json: &[u8]) -> Option<Vec<u8>> {
    let json = json.trim_ascii();
    if !matches!(json.first(), Some(b'{' | b'[')) {
        return None;
    }
    let (mut open, mut quote, mut escape) = (Vec::new(), None, None);
    for (at, byte) in json.iter().enumerate() {
        match (byte, quote) {
            (_, Some(_)) if escape.is_some() => escape = None,
            (b'\\', Some(_)) => escape = Some(at),
            (b'"', Some(_)) => quote = None,
            (b'"', None) => quote = Some(at),
            (b'{', None) => open.push(b'}'),
            (b'[', None) => open.push(b']'),
            (b'}' | b']', None) => drop(open.pop().filter(|end| end == byte)?),
            _ => {}
        }
    }
    if open.is_empty() {
        return None;
    }
    let text = quote.map(|_| json[..escape.unwrap_or(json.len())].to_vec());
    let text = text.map(|it| [without_half_escape(&it), b"\""].concat());
    let ended = text.unwrap_or_else(|| json.to_vec());
    // A member without a value is left out.
    let last = [ended.as_slice(), &json[..quote.unwrap_or(json.len())]];
    let closed = |json: &[u8]| {
        let json = json.trim_ascii_end();
        let json = json.strip_suffix(b",").unwrap_or(json);
        let closed: Vec<u8> = json.iter().chain(open.iter().rev()).copied().collect();
        serde_json::from_slice::<serde::de::IgnoredAny>(&closed).is_ok().then_some(closed)
    };
    last.into_iter().find_map(closed)
}

/// The text without an incomplete `\u` escape at its end.
fn without_half_escape(text: &[u8]) -> &[u8] {
    let from = text.len().saturating_sub(5);
    let half = memchr::memmem::rfind(&text[from..], b"\\u");
    half.map_or(text, |at| &text[..from + at])
}

#[cfg(test)]
mod tests {
    use super::completed;

    #[test]
    fn what_is_open_is_closed() {
        for (json, expected) in [
            (r#"{"error":{"message":"no suc"#, Some(r#"{"error":{"message":"no suc"}}"#)),
            (r#"{"error":{"message":"a\"#, Some(r#"{"error":{"message":"a"}}"#)),
            (r#"{"error":{"message":"a\\"#, Some(r#"{"error":{"message":"a\\"}}"#)),
            (r#"{"error":{"message":"a\u00"#, Some(r#"{"error":{"message":"a"}}"#)),
            (r#"{"error":{"message":"a\""#, Some(r#"{"error":{"message":"a\""}}"#)),
            (r#"{"error":{"message":"a","ty"#, Some(r#"{"error":{"message":"a"}}"#)),
            (r#"{"error":{"message":"a","#, Some(r#"{"error":{"message":"a"}}"#)),
            (r#"[{"error":"a"},"#, Some(r#"[{"error":"a"}]"#)),
            (r#"{"error":"a"}"#, None),
            (r#"{"a":]"#, None),
            ("<html>", None),
            ("", None),
        ] {
            let found = completed(json.as_bytes()).map(|it| String::from_utf8(it).unwrap());
            assert_eq!(found.as_deref(), expected, "{json}");
        }
    }
}
