//! The scanner against `serde_json`, and the splices against a tree.

use super::{bounds::in_proportion, pieces::same_at_any_cut};
use callgate_json::fuzzing::{MemberSpans, Splice, scan as scanned, spliced};
use serde_json::{Map, Value, value::RawValue};

pub(super) const TOKENS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b"\\\"",
    b"\\u0041",
    b"\\ud800",
    b"\\udc00",
    b"\\ud83d\\ude00",
    b"null",
    b"true",
    b"false",
    b"0",
    b"-0",
    b"1e999",
    b"-1.5E+3",
    b"\"a\":1",
    b"\"\\u0061\":2",
    b"{\"a\":",
    b"[[",
    b"]]",
    b" \t\r\n",
    b"\xef\xbb\xbf",
    b"\xc3\xa9",
    b"\xff",
    b"\"role\":\"user\"",
    b"\x00",
    b"\x7f",
    b",\"",
    b"},{\"",
    b"\":\"",
];

/// The most top-level members of a body, as in `json::scan`.
const MEMBERS: usize = 4096;

pub(super) fn scan(input: &[u8]) {
    let found = same_at_any_cut(input, |pieces| {
        in_proportion(input.len(), 64, || scanned(pieces)).map_err(|_| ())
    });
    // JSON by the grammar alone, and JSON that can be decoded.
    let grammar = serde_json::from_slice::<&RawValue>(input).is_ok();
    assert!(grammar || found.is_err(), "taken, and no JSON");
    match serde_json::from_slice::<Value>(input) {
        Ok(value) => agrees(input, &value, found),
        Err(error) if grammar => {
            let text = error.to_string();
            let bound = text.contains("out of range") || text.contains("recursion limit");
            assert!(bound || found.is_err(), "taken, but {text}");
        }
        Err(_) => {}
    }
}

fn agrees(input: &[u8], value: &Value, found: Result<MemberSpans, ()>) {
    let Ok(members) = found else {
        let many = input.iter().filter(|byte| **byte == b':').count() > MEMBERS;
        assert!(many, "refused, and JSON");
        return;
    };
    let Value::Object(object) = value else { return };
    let mut read = Map::new();
    for (name, value) in members {
        let name = &input[name.start - 1..name.end + 1];
        let name = serde_json::from_slice(name).expect("a name");
        read.insert(name, serde_json::from_slice(&input[value]).expect("a value"));
    }
    assert_eq!(&read, object, "other members");
}

/// The input is the body, then a line for each edit: `name json`, or `name` to remove it.
pub(super) fn splice(input: &[u8]) {
    let mut lines = input.split(|byte| *byte == b'\n');
    let body = lines.next().unwrap_or_default();
    let edits: Vec<Splice<'_>> =
        lines.filter_map(|line| read_splice(std::str::from_utf8(line).ok()?)).collect();
    let sent = same_at_any_cut(body, |pieces| spliced(pieces, &edits));
    let Ok(Value::Object(mut model)) = serde_json::from_slice(body) else { return };
    let Some(sent) = sent else { return };
    for edit in edits {
        match edit {
            Splice::Set(name, json) => {
                let Ok(value) = serde_json::from_str(json) else { return };
                model.insert(name.to_owned(), value);
            }
            Splice::Remove(name) => {
                model.shift_remove(name);
            }
        }
    }
    let text = String::from_utf8_lossy(&sent).into_owned();
    let sent: Value = serde_json::from_slice(&sent).unwrap_or_else(|it| panic!("{it}: {text}"));
    assert_eq!(sent, Value::Object(model), "sent: {text}");
    // Parsers that take the first of several names must see the same.
    let names = scanned(&[text.as_bytes()]).expect("JSON").len();
    assert_eq!(Some(names), sent.as_object().map(Map::len), "a name twice: {text}");
}

fn read_splice(line: &str) -> Option<Splice<'_>> {
    let Some((name, json)) = line.split_once(' ') else { return Some(Splice::Remove(line)) };
    scanned(&[json.as_bytes()]).ok()?;
    Some(Splice::Set(name, json))
}
