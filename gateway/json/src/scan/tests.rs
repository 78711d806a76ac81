//! What the scanner accepts, rejects and finds, in whatever pieces the bytes arrive.

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

fn scan_in(bytes: &[u8], size: usize) -> Result<MemberList, ScanError> {
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

/// Random documents with everything that the scan treats specially: long and short text, escapes of
/// every kind at the edges of blocks, numbers, words, nesting, objects in arrays.
fn document(random: &mut fastrand::Rng, depth: usize) -> String {
    let text = |random: &mut fastrand::Rng| {
        const PIECES: &[&str] = &[
            "a",
            "word ",
            "\\n",
            "\\\"",
            "\\\\",
            "\\t",
            "\\/",
            "\\b",
            "\\u00e9",
            "\\ud83d\\ude00",
            "é",
            "日本語",
            "😀",
            "0123456789abcdef",
            "{\\\"a\\\":[",
            "\\\\\\\\\\\"",
        ];
        let pieces = random.usize(0..12);
        let inside: String = (0..pieces).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
        format!("\"{inside}\"")
    };
    let space = [" ", "\n", "\t", "", "", "", "", ""][random.usize(0..8)];
    match random.usize(0..if depth == 0 { 4 } else { 7 }) {
        0 | 1 => text(random),
        2 => ["0", "-1", "12.5e+3", "1E9", "-0.25", "4294967296"][random.usize(0..6)].to_owned(),
        3 => ["true", "false", "null"][random.usize(0..3)].to_owned(),
        4 => {
            let items: Vec<_> =
                (0..random.usize(0..4)).map(|_| document(random, depth - 1)).collect();
            format!("[{space}{}{space}]", items.join(&format!(",{space}")))
        }
        _ => {
            let members: Vec<_> = (0..random.usize(0..5))
                .map(|_| format!("{}{space}:{space}{}", text(random), document(random, depth - 1)))
                .collect();
            format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
        }
    }
}

#[test]
fn judges_mutated_documents_as_serde_json_does() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut judged = [0, 0];
    for round in 0..40_000 {
        let mut bytes = document(&mut random, 4).into_bytes();
        for _ in 0..round % 3 {
            let at = random.usize(0..=bytes.len());
            match random.usize(0..5) {
                0 => bytes.insert(at, random.u8(..)),
                1 => bytes.insert(at, b"\"\\{}[],:0-eu\n"[random.usize(0..13)]),
                2 if at < bytes.len() => drop(bytes.remove(at)),
                3 if at < bytes.len() => bytes[at] ^= 1 << random.usize(0..8),
                _ => bytes.truncate(at),
            }
        }
        let whole = Scanner::scan(&bytes);
        let shown = String::from_utf8_lossy(&bytes);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes).map_err(|e| e.to_string());
        // Valid JSON anyway; the scan does not check it.
        if matches!(&theirs, Err(text) if text.starts_with("number out of range")) {
            continue;
        }
        let theirs = theirs.is_ok();
        assert_eq!(whole.is_ok(), theirs, "{shown}");
        let mut scanner = Scanner::new();
        let mut rest = &bytes[..];
        let mut fed = Ok(());
        while !rest.is_empty() && fed.is_ok() {
            let (chunk, later) = rest.split_at(random.usize(1..=rest.len().min(150)));
            fed = scanner.feed(chunk);
            rest = later;
        }
        let split = fed.and_then(|()| scanner.finish());
        match (&whole, &split) {
            (Ok(whole), Ok(split)) => assert_eq!(whole, split, "{shown}"),
            (Err(_), Err(_)) => {}
            _ => panic!("{whole:?} and {split:?} for {shown}"),
        }
        judged[usize::from(theirs)] += 1;
    }
    assert!(judged.iter().all(|count| *count > 5_000), "{judged:?}");
}

#[test]
fn blocks_are_read_alike_by_any_instructions() {
    struct Both<'a>(&'a [u8; 64]);
    impl blocks::Work for Both<'_> {
        type Output = [(Option<blocks::Found>, u64); 2];
        fn run(self, blocks: impl Blocks) -> Self::Output {
            let narrow = (blocks::Narrow.find(self.0), blocks::Narrow.usual(self.0));
            [(blocks.find(self.0), blocks.usual(self.0)), narrow]
        }
    }
    let mut random = fastrand::Rng::with_seed(3);
    for round in 0..10_000 {
        let block: [u8; 64] = std::array::from_fn(|_| match random.u8(..4) {
            _ if round % 2 == 0 => random.u8(b']'..),
            0 => b"\"\\nt/f\x1f\x20\x00\x01"[random.usize(0..10)],
            _ => random.u8(..),
        });
        let bits = |is: fn(u8) -> bool| {
            block.iter().rev().fold(0_u64, |bits, byte| bits << 1 | u64::from(is(*byte)))
        };
        let ends = bits(|byte| matches!(byte, b'"' | 0..0x20));
        let backslashes = bits(|byte| byte == b'\\');
        let usual = bits(|byte| matches!(byte, b'"' | b'\\' | b'/' | b'f' | b'n' | b't'));
        let any = ends | backslashes != 0;
        let expected = (any.then_some(blocks::Found { ends, backslashes }), usual);
        assert_eq!(blocks::with_best(Both(&block)), [expected; 2], "{block:?}");
    }
}

#[test]
fn finds_the_members_of_the_top_level_only() {
    let text = r#"{ "a" : {"b": 1} , "c\u0064":[2], "n": -1.5}"#;
    let found: Vec<_> = Scanner::scan(text.as_bytes())
        .unwrap()
        .iter()
        .map(|member| (&text[member.name.clone()], member.escaped, &text[member.value.clone()]))
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
        .iter()
        .map(|member| &text[member.value.clone()])
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

#[test]
fn halves_of_surrogate_pairs_are_text_of_upstreams_alone() {
    let deep = |text: &str| format!(r#"{{"a":[{{"b":"{text}"}}],"c":"{text}"}}"#);
    for (text, halved) in [
        (r"\ud83d", true),
        (r"\ude00", true),
        (r"a\ud83db", true),
        (r"\ud83d\n", true),
        (r"\ud83d\ud83d\ude00", true),
        (r"\ud83d\u0041", true),
        (r"\ud83d\ude00", false),
        (r"\u00e9", false),
    ] {
        let json = deep(text);
        for size in 1..=json.len() {
            let mut scanner = Scanner::of_upstream();
            for piece in json.as_bytes().chunks(size) {
                scanner.feed(piece).expect(&json);
            }
            assert_eq!(scanner.met_halves(), halved, "{json} by {size}");
            assert_eq!(scanner.finish().map(|members| members.len()), Ok(2), "{json} by {size}");
        }
        assert_eq!(Scanner::scan(json.as_bytes()).is_ok(), !halved, "{json}");
    }
    let mut scanner = Scanner::of_upstream();
    assert!(scanner.feed(br#"{"\ud83d":1}"#).is_err(), "a name");
}

#[test]
fn cut_off_input_is_distinguished_from_invalid_input() {
    let json = r#"{"a":[1,-2.5e3,"\u00e9 é\n",true,null,{}]}"#;
    for end in 0..json.len() {
        let cut = Scanner::scan(&json.as_bytes()[..end]).expect_err("cut");
        assert!(cut.is_cut(), "{end}: {cut}");
    }
    for wrong in ["{\"a\":]", "<", "{\"a\":1,}", "{\"a\":-}", "{\"a\":\"\\x\"}", "{} x"] {
        assert!(!Scanner::scan(wrong.as_bytes()).expect_err(wrong).is_cut(), "{wrong}");
    }
}

/// An escape may cross two blocks of 64 bytes, the second of which has no other special byte.
#[test]
fn escapes_across_blocks_are_judged() {
    for (second, valid) in [('n', true), ('t', true), ('/', true), ('q', false), ('x', false)] {
        for before in 55..70 {
            let json = format!("{{\"a\":\"{}\\{second}{}\"}}", "x".repeat(before), "y".repeat(200));
            assert_eq!(Scanner::scan(json.as_bytes()).is_ok(), valid, "{before} {second}");
        }
    }
}
