//! What is to be embedded or judged: a text, tokens, or a list of them. Only its beginning is
//! looked at, because a list may be long and the upstream judges each element itself.

use callgate_failure::Failure;
use callgate_json::slices;

/// Refuses an `input` that no upstream could take; `json` is valid.
pub(super) fn check_input(json: &[u8]) -> Result<(), Failure> {
    let found = match json.first() {
        Some(b'"') if json == b"\"\"" => "an empty string",
        Some(b'"') => return Ok(()),
        Some(b'[') => match slices::elements(json).next() {
            None => "an empty array",
            Some(first) => match first.first() {
                Some(b'"' | b'[' | b'{') => return Ok(()),
                Some(byte) if byte.is_ascii_digit() && is_whole(first) => return Ok(()),
                Some(b'n' | b't' | b'f') => "an array of `null`, `true` or `false`",
                _ => "an array of numbers that are no tokens",
            },
        },
        Some(b'{') => "an object",
        Some(b't' | b'f') => "`true` or `false`",
        _ => "a number",
    };
    Err(Failure::unusable_input(found))
}

fn is_whole(number: &[u8]) -> bool {
    number.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_tokens_and_lists_of_them_are_usable() {
        for json in [r#""a""#, r#"["a"]"#, "[1,2]", "[ [1] ]", r#"["",1]"#, r#"[{"type":"text"}]"#]
        {
            assert!(check_input(json.as_bytes()).is_ok(), "{json}");
        }
        for (json, found) in [
            (r#""""#, "an empty string"),
            ("[]", "an empty array"),
            ("[ ]", "an empty array"),
            ("7", "a number"),
            ("-1", "a number"),
            ("[1.5]", "no tokens"),
            ("[-1]", "no tokens"),
            ("[null]", "`null`"),
            ("true", "`true`"),
            ("{}", "an object"),
        ] {
            let failure = check_input(json.as_bytes()).unwrap_err();
            assert!(failure.message.contains(found), "{json}: {}", failure.message);
            assert_eq!((failure.status, failure.param.as_deref()), (400, Some("input")), "{json}");
        }
    }
}
