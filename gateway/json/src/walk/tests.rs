//! Walks compared with a tree, with random and chosen documents.

use super::*;
use serde_json::Value;

/// A document as a walk reads it, for comparison with a tree.
fn tree(text: &str) -> Value {
    let Some(walk) = walk(text) else { return serde_json::from_str(text).unwrap() };
    let object = walk.is_object();
    let items = walk.map(|member| (name_of(text, &member).into_owned(), tree(&text[member.value])));
    if object {
        Value::Object(items.collect())
    } else {
        Value::Array(items.map(|(_, value)| value).collect())
    }
}

pub(crate) fn random_document(random: &mut fastrand::Rng, depth: usize) -> String {
    let space = ["", "", " ", "\n\t"][random.usize(..4)];
    let texts = ["", "a", "a\\\"b", "\\\\", "é/日本", "\\u00e9\\n", "{[,:]}", "x\\\\\\\"y"];
    let text = |random: &mut fastrand::Rng| texts[random.usize(..texts.len())].to_owned();
    let kind = if depth == 0 { random.usize(..4) } else { random.usize(..7) };
    let body = match kind {
        0 => format!("\"{}\"", text(random)),
        1 => ["0", "-1.5e3", "12"][random.usize(..3)].to_owned(),
        2 => ["true", "false", "null"][random.usize(..3)].to_owned(),
        3 => ["{}", "[]", "[ ]", "{ }"][random.usize(..4)].to_owned(),
        4 => {
            let items: Vec<_> =
                (0..random.usize(..5)).map(|_| random_document(random, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let items: Vec<_> = (0..random.usize(..5))
                .map(|at| {
                    let (name, value) = (text(random), random_document(random, depth - 1));
                    format!("{space}\"{name}{at}\"{space}:{value}")
                })
                .collect();
            format!("{{{}{space}}}", items.join(","))
        }
    };
    format!("{space}{body}{space}")
}

#[test]
fn a_walk_sees_what_a_tree_has() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..3000 {
        let text = random_document(&mut random, 5);
        assert_eq!(tree(text.trim()), serde_json::from_str::<Value>(&text).unwrap(), "{text}");
    }
}

#[test]
fn a_path_leads_to_the_value_and_the_last_of_a_name_counts() {
    let text = r#" {"a": {"b": [1, {"c" : "x"}]}, "a\u002eb":3, "d":1, "d": 2} "#;
    for (path, expected) in [
        ("a.b.1.c", Some("\"x\"")),
        ("a.b.0", Some("1")),
        ("a.b.2", None),
        ("a.b.x", None),
        ("d", Some("2")),
        ("d.e", None),
        ("nope", None),
        ("", None),
    ] {
        assert_eq!(find(text, path).map(|place| &text[place]), expected, "{path}");
    }
    assert_eq!(value(text, "a.b"), Some("3"));
}

#[test]
fn text_that_is_no_json_ends_a_walk() {
    for text in ["", "{", "[", "{\"a", "{\"a\\", "{\"a\"", "{\"a\":", "[1", "[}", "{]", "{1}", "x"]
    {
        let _ = walk(text).map(Iterator::count);
        let _ = value_end(text.as_bytes(), 0);
        let _ = find(text, "a.0");
    }
}
