//! The token counts of a reply or chunk, read without a parser if they have the usual form.

use crate::Usage;

/// `json` is a valid value. `None` if it is not a usage object.
pub(super) fn usage(json: &[u8]) -> Option<Usage> {
    usual(json).or_else(|| serde_json::from_slice(json).ok())
}

/// Reads counts in plain digits, each once, under names without escapes; `None` for any other form.
fn usual(json: &[u8]) -> Option<Usage> {
    let mut counts = [None; 3];
    let mut rest = json.strip_prefix(b"{")?.trim_ascii_start();
    loop {
        rest = rest.strip_prefix(b"\"")?;
        let (name, behind) = rest.split_at(memchr::memchr2(b'"', b'\\', rest)?);
        rest = behind.strip_prefix(b"\"")?.trim_ascii_start().strip_prefix(b":")?;
        rest = rest.trim_ascii_start();
        let place = match name {
            b"prompt_tokens" => Some(0),
            b"completion_tokens" => Some(1),
            b"total_tokens" => Some(2),
            _ => None,
        };
        match place {
            Some(place) if counts[place].is_none() => {
                let (count, behind) = digits(rest)?;
                (counts[place], rest) = (Some(count), behind);
            }
            Some(_) => return None,
            None => rest = behind_value(rest)?,
        }
        match rest.trim_ascii_start().split_first()? {
            (b',', behind) => rest = behind.trim_ascii_start(),
            (b'}', _) => break,
            _ => return None,
        }
    }
    let [prompt_tokens, completion_tokens, total_tokens] = counts.map(Option::unwrap_or_default);
    Some(Usage { prompt_tokens, completion_tokens, total_tokens })
}

/// A number with few enough digits to fit.
fn digits(json: &[u8]) -> Option<(u64, &[u8])> {
    let len = json.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = |digits: &[u8]| {
        digits.iter().fold(0, |number, digit| 10 * number + u64::from(digit - b'0'))
    };
    matches!(len, 1..=19).then(|| (number(&json[..len]), &json[len..]))
}

/// The text after the value at the beginning of `json`.
fn behind_value(json: &[u8]) -> Option<&[u8]> {
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match json.get(at)? {
            b'"' => at = string_end(json, at + 1)?,
            b'{' | b'[' => depth += 1,
            b',' | b'}' if depth == 0 => return Some(&json[at..]),
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
}

/// The position of the quote that ends the string around the byte at `at`.
fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_a_parser_reads_them() {
        for json in [
            r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}"#,
            r#"{ "total_tokens" : 7 , "prompt_tokens" : 0 }"#,
            r#"{"prompt_tokens_details":{"a":[1,{"b":"}\\\"{"}]},"prompt_tokens":12}"#,
            r#"{"note":"a\"b,}","queue_time":0.01,"x":null,"completion_tokens":5}"#,
            r#"{"prompt\u005ftokens":3,"total_tokens":4}"#,
            r#"{"prompt_tokens":18446744073709551615}"#,
            r#"{"prompt_tokens":18446744073709551616}"#,
            r#"{"prompt_tokens":1,"prompt_tokens":2}"#,
            r#"{"prompt_tokens":-1}"#,
            r#"{"prompt_tokens":1.0}"#,
            r#"{"prompt_tokens":1e3}"#,
            r#"{"prompt_tokens":null}"#,
            r#"{"prompt_tokens":"3"}"#,
            "{}",
            "{ }",
            "null",
            "[1,2,3]",
            "3",
        ] {
            let parsed = serde_json::from_str::<Usage>(json).ok();
            assert_eq!(usage(json.as_bytes()), parsed, "{json}");
            assert!(usual(json.as_bytes()).is_none_or(|usual| Some(usual) == parsed), "{json}");
        }
    }

    #[test]
    fn usual_counts_need_no_parser() {
        let json = r#"{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,
            "completion_tokens_details":{"reasoning_tokens":0}}"#;
        let expected = Usage { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
        assert_eq!(usual(json.as_bytes()), Some(expected));
    }
}
