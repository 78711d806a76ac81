//! What the scanner accepts, refuses and finds, however the bytes arrive.

use super::*;

const VALID: &[&str] = &[
    r#"{}"#,
    r#" {"a" : [1, -0.5e+3, "x\n\u00e9\ud83d\ude00", {"b": [ ]}], "é": null } "#,
    r#"{"model":"m","messages":[{"role":"user","content":"a long text that fills more than one block of it"}],"stream":true}"#,
    r#"[1,"é😀",true]"#,
    "0",
    r#""text""#,
];

const INVALID: &[&[u8]] = &[
    b"",
    b" ",
    b"{",
    b"[1,]",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{a:1}",
    b"{\"a\":1,}",
    b"{'a':1}",
    b"01",
    b"-",
    b"1.",
    b"1e",
    b"+1",
    b"NaN",
    b"Infinity",
    b"nul",
    b"truex",
    b"{} {}",
    b"\"a",
    b"\"\\x\"",
    b"\"\\u12g4\"",
    b"\"\\ud83d\"",
    b"\"\\ud83dx\"",
    b"\"\\ude00\"",
    b"\"a\nb\"",
    b"\"\xff\"",
    b"\"\xe9\"",
    b"\"\xc3",
    b"[}",
    b"{]",
    b"\xef\xbb\xbf{}",
    b"{\"a\":1 \"b\":2}",
];

fn scan_in(bytes: &[u8], size: usize) -> Result<Vec<Member>, ScanError> {
    let mut scanner = Scanner::new();
    for chunk in bytes.chunks(size) {
        scanner.feed(chunk)?;
    }
    scanner.finish()
}

#[test]
fn agrees_with_itself_however_the_bytes_arrive() {
    for text in VALID {
        let whole = Scanner::scan(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        for size in 1..text.len() {
            assert_eq!(scan_in(text.as_bytes(), size), Ok(whole.clone()), "{text} by {size}");
        }
        assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
    }
    for bytes in INVALID {
        for size in 1..=bytes.len().max(1) {
            assert!(scan_in(bytes, size).is_err(), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn judges_as_serde_json_does() {
    let mut random = fastrand::Rng::with_seed(7);
    let pieces = [
        "\\n",
        "\\\"",
        "\\\\",
        "\\u00e9",
        "\\x",
        "\"",
        "\\",
        "é",
        "\n",
        "plain text ",
        "\\ud83d\\ude00",
        "0123456789012345678901234567890123456789",
    ];
    for _ in 0..20_000 {
        let inside: String =
            (0..random.usize(0..12)).map(|_| pieces[random.usize(0..pieces.len())]).collect();
        let text = format!("{{\"k\":\"{inside}\",\"n\":1}}");
        let ours = scan_in(text.as_bytes(), random.usize(1..200)).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&text).is_ok();
        assert_eq!(ours, theirs, "{text}");
    }
}

#[test]
fn finds_the_members_of_the_top_level_only() {
    let text = r#"{ "a" : {"b": 1} , "c\u0064":[2], "n": -1.5}"#;
    let found: Vec<_> = Scanner::scan(text.as_bytes())
        .unwrap()
        .into_iter()
        .map(|member| (&text[member.name], member.escaped, &text[member.value]))
        .collect();
    assert_eq!(
        found,
        [("a", false, r#"{"b": 1}"#), (r"c\u0064", true, "[2]"), ("n", false, "-1.5")]
    );
}

#[test]
fn finds_the_elements_of_an_array() {
    let text = r#"[{"a":1}, 2,"x"]"#;
    let found: Vec<_> = Scanner::scan(text.as_bytes())
        .unwrap()
        .into_iter()
        .map(|member| &text[member.value])
        .collect();
    assert_eq!(found, [r#"{"a":1}"#, "2", r#""x""#]);
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    assert!(Scanner::scan(&nested(128)).is_ok());
    assert_eq!(Scanner::scan(&nested(129)).unwrap_err().offset, 128);
    assert!(Scanner::scan(&nested(100_000)).is_err());
}

#[test]
fn members_are_bounded_elements_are_not() {
    let object = |members: usize| {
        let members: Vec<_> = (0..members).map(|index| format!("\"k{index}\":1")).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(Scanner::scan(object(MAX_MEMBERS).as_bytes()).is_ok());
    assert!(Scanner::scan(object(MAX_MEMBERS + 1).as_bytes()).is_err());
    let array = format!("[{}1]", "1,".repeat(10_000));
    assert_eq!(Scanner::scan(array.as_bytes()).map(|elements| elements.len()), Ok(10_001));
}
