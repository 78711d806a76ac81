//! The tree: positions, types, anchors, merge keys, duplicates, and malicious files.

use super::{Kind, Node, Typed, node::Document, parse};
use crate::problem::Problem;
use std::{path::Path, sync::Arc};

fn read(text: &str) -> Result<Document, Problem> {
    parse(&Arc::from(Path::new("c.yaml")), text)
}

fn root(text: &str) -> Node {
    read(text).unwrap().root.unwrap()
}

/// `key=value` for every scalar, in order, to compare one line.
fn flat(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar(scalar) => match scalar.typed() {
            Typed::Null => "~".into(),
            Typed::Bool(truth) => truth.to_string(),
            Typed::Number(number) => format!("#{number}"),
            Typed::Text(text) => text.to_owned(),
        },
        Kind::Sequence(items) => {
            format!("[{}]", items.iter().map(flat).collect::<Vec<_>>().join(" "))
        }
        Kind::Mapping(entries) => {
            let entries = entries.iter().map(|it| format!("{}={}", it.key, flat(&it.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(" "))
        }
    }
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(flat(&root(text)), expected, "{text}");
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let problem = read(text).unwrap_err().to_string();
    assert!(problem.contains(expected), "{problem}");
}

#[test]
fn what_is_missing_at_the_end_is_missed_within_the_file() {
    for (text, place) in [
        ("[", "c.yaml:1:2: "),
        ("a: {b: 1", "c.yaml:1:9: "),
        ("a:\n  - 'x", "c.yaml:2:5: "),
        ("a: 1\r\n[é", "c.yaml:2:3: "),
    ] {
        let problem = read(text).unwrap_err().to_string();
        assert!(problem.starts_with(place), "{text:?}: {problem}");
    }
}

#[test]
fn lines_of_a_flow_collection_may_stand_anywhere() {
    check("a:\n  b: {\n    x: 1\n  }\n", "{a={b={x=#1}}}");
    check("a:\n  - {\n    x: 1\n  }\n", "{a=[{x=#1}]}");
    check("a:\n  - b: c\n    d: [\n  1,\n  2\n  ]\n", "{a=[{b=c d=[#1 #2]}]}");
    check(
        "a:\r\n  b:\r\n    c: {\r\n x: 1,\r\ny: 'é'}\r\n  d: 2\r\n",
        "{a={b={c={x=#1 y=é}} d=#2}}",
    );
    let many = "- a:\n    b: {\n  x: 1\n}\n".repeat(200);
    assert!(matches!(root(&many).kind, Kind::Sequence(items) if items.len() == 200));
    let tree = root("a:\n  b: {\n x: 1\n}\n");
    let Kind::Mapping(top) = &tree.kind else { panic!("{tree:?}") };
    let Kind::Mapping(b) = &top[0].value.kind else { panic!("{tree:?}") };
    let Kind::Mapping(x) = &b[0].value.kind else { panic!("{tree:?}") };
    assert_eq!((x[0].mark.line, x[0].mark.column), (3, 2));
    // Outside of one, the line is as wrong as before, and its position is the written one.
    refused("a:\n  b: {\n x: 1\n}\n c: 1\n", "c.yaml:5:");
    refused("a:\n  b: {\n x: 1\n", "c.yaml:");
}

#[test]
fn plain_scalars_have_types_and_quoted_ones_do_not() {
    check("[1, -2, 1.5, 1e3, 0x1F]", "[#1 #-2 #1.5 #1000.0 #31]");
    check("[true, False, yes, No, ON, off]", "[true false true false true false]");
    check("[~, null, Null, '', a]", "[~ ~ ~  a]");
    check("['1', \"true\", !!str 5, 'no']", "[1 true 5 no]");
    check("[gpt-4, 3b, 1.2.3, .inf, -.inf, 1:30, 12-04]", "[gpt-4 3b 1.2.3 .inf -.inf 1:30 12-04]");
    check(
        "[---5, -x, none, nothing, 99999999999999999999999]",
        "[---5 -x none nothing 99999999999999999999999]",
    );
    check("a:\nb: |\n  x\n  y\n", "{a=~ b=x\ny\n}");
}

#[test]
fn every_node_knows_its_place() {
    let root = root("a:\n  - b\n  - é: [1, x]\n");
    let Kind::Mapping(entries) = &root.kind else { panic!() };
    let Kind::Sequence(items) = &entries[0].value.kind else { panic!() };
    let Kind::Mapping(inner) = &items[1].kind else { panic!() };
    let Kind::Sequence(list) = &inner[0].value.kind else { panic!() };
    let at = |node: &Node| (node.mark.line, node.mark.column);
    assert_eq!((at(&items[0]), at(&items[1])), ((2, 5), (3, 5)));
    assert_eq!((inner[0].mark.line, inner[0].mark.column), (3, 5));
    assert_eq!(at(&list[1]), (3, 12));
}

#[test]
fn anchors_aliases_and_merge_keys_work() {
    check("a: &x {p: 1, q: 2}\nb: *x", "{a={p=#1 q=#2} b={p=#1 q=#2}}");
    check("a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}", "{a={p=#1 q=#2} b={q=#3 p=#1}}");
    check("b: {q: 3, <<: [{p: 1}, {p: 2, q: 9}]}", "{b={q=#3 p=#1}}");
    check("'<<': 1", "{<<=#1}");
    refused("a: &x [*x]", "1:8: this alias is inside its own anchor");
    refused("a: {<<: 5}", "expected a mapping or a list of mappings after `<<`");
}

#[test]
fn the_last_duplicate_wins_with_a_warning() {
    let document = read("a: 1\nb: 2\na: 3\n").unwrap();
    assert_eq!(flat(&document.root.unwrap()), "{a=#3 b=#2}");
    let said = document.problems[0].to_string();
    assert!(said.starts_with("c.yaml:3:1: `a` was already given on line 1"), "{said}");
}

#[test]
fn empty_files_hold_nothing() {
    for text in ["", "\n\n", "# only a comment\n", "\u{feff}"] {
        assert!(read(text).unwrap().root.is_none_or(|root| root.is_null()), "{text:?}");
    }
    check("\u{feff}a: 1", "{a=#1}");
    check("a: 1\r\nb: 2\r\n", "{a=#1 b=#2}");
}

#[test]
fn broken_files_are_refused_with_their_place() {
    refused("a: [1\nb: 2", "c.yaml:2:");
    refused("a:\n\tb: 1\n", "c.yaml:2:");
    refused("a: 1\n---\nb: 2\n", "expected one YAML document, found a second");
    refused("a: *nowhere", "c.yaml:1:");
    refused("{[1]: 2}", "expected text as a key, found a list");
    refused("a: !ruby/object {}", "are not supported");
}

#[test]
fn hostile_files_are_bounded() {
    let bomb: String = (0..30)
        .map(|level| match level {
            0 => "l0: &l0 [x, x, x, x, x, x, x, x]\n".to_owned(),
            _ => format!(
                "l{level}: &l{level} [{}]\n",
                vec![format!("*l{}", level - 1); 8].join(", ")
            ),
        })
        .collect();
    refused(&bomb, "aliases blow this file up");
    refused(&"[".repeat(100_000), "c.yaml:1:");
    refused(&"- ".repeat(100_000), "nested deeper than 64 levels");
    let nested: String = (1..200)
        .fold("l0: &l0 [x]\n".into(), |text, n| text + &format!("l{n}: &l{n} [*l{}]\n", n - 1));
    refused(&nested, "nested deeper than 64 levels");
    refused(&"a".repeat(5 << 20), "expected at most 4194304 bytes");
}
