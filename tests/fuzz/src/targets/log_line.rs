//! Log lines: foreign text stays within its line and controls nothing.

use callgate_telemetry::fuzzing as log;
use serde_json::Value;

pub(super) const TOKENS: &[&[u8]] = &[
    b"\n",
    b"\r",
    b"\t",
    b"\x1b[31m",
    b"\x00",
    b"\x7f",
    b"\xc2\x9b",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xe2\x81\xa6",
    b"\xd8\x9c",
    b"\"",
    b"\\",
    b"\\n",
    b" field=x",
    b"=",
    b" INFO ",
    b"\xe2\x80\x8e",
    b"\xf0\x9f\x98\x80",
    b"\xc3\xa9",
    b"{}",
    b"\xef\xbb\xbf",
];

/// Longer values are cut.
const LONGEST: usize = 16 * 1024;

pub(super) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for line in log::lines(&text, &text) {
        let line = String::from_utf8(line).expect("text");
        let line = line.strip_suffix('\n').expect("an end of the line");
        harmless(line);
        assert!(line.len() <= 16 * LONGEST, "{} bytes", line.len());
    }
    let [json, pretty] = log::lines("m", &text);
    let value: Value = serde_json::from_slice(&json).expect("JSON");
    if text.len() <= LONGEST {
        assert_eq!(value["field"], *text);
    }
    assert_eq!(value.as_object().map(serde_json::Map::len), Some(5), "a forged member");
    let pretty = String::from_utf8_lossy(&pretty).into_owned();
    let (_, field) = pretty.split_once(" m field=").expect("a field");
    let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix("\"\n"));
    let closes = |inner: &str| inner.replace("\\\\", "").replace("\\\"", "").contains('"');
    assert!(inner.map_or(!field.contains([' ', '"']), |it| !closes(it)), "forged: {field}");
    for shown in log::shown(&text, 40) {
        assert!(shown.len() <= 10 * text.len() + 40);
    }
    harmless(&log::shown(&text, 0)[0]);
}

/// Checks that nothing ends a line, controls a terminal or reverses the order of text.
fn harmless(line: &str) {
    let harm = |it: char| {
        it.is_control()
            || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}".contains(it)
            || ('\u{202a}'..='\u{202e}').contains(&it)
            || ('\u{2066}'..='\u{2069}').contains(&it)
    };
    assert!(!line.contains(harm), "{line:?}");
}
