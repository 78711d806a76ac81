//! Parameters of the body by dotted path: `temperature`, `response_format.type`, `tools.0.type`.
//! They are read and edited in the member's own text, so the rest stays byte for byte.

use bytes::Bytes;
use callgate_json::{Body, Scanner, json_text, passed, walk};
use plugin_api::EditError;
use std::ops::Range;

/// The value at a path below `value`, as its original text.
pub(crate) fn within<'a>(value: &'a str, path: &str) -> Option<&'a str> {
    value.get(walk::find(value, path)?)
}

/// Sets a parameter; missing objects on the path are created.
pub(crate) fn set(body: &mut Body, path: &str, json: &str) -> Result<(), EditError> {
    let json = json.trim_ascii();
    Scanner::scan(json.as_bytes()).map_err(|_| EditError::NotJson)?;
    if is_too_deep(path, json) {
        return Err(EditError::TooLarge);
    }
    let Some((name, rest)) = path.split_once('.') else {
        body.set(path, Bytes::copy_from_slice(json.as_bytes()));
        return Ok(());
    };
    let root = body.member_text(name).unwrap_or("null");
    let mut steps = rest.split('.');
    let mut place = 0..root.len();
    let edited = loop {
        let Some(step) = steps.next() else { break spliced(root, place, json) };
        let value = &root[place.clone()];
        match value.as_bytes().first() {
            Some(b'{') => match walk::member(value, step) {
                Some(member) => place = inside(&place, member.value),
                None => {
                    let end = place.start + value.trim_ascii_end().len() - 1;
                    let first = walk::members(value).is_none_or(|mut rest| rest.next().is_none());
                    let comma = if first { "" } else { "," };
                    let new = [comma, &nested(step, steps, json)].concat();
                    break spliced(root, end..end, &new);
                }
            },
            Some(b'[') => {
                step.parse::<usize>().map_err(|_| EditError::WrongKind)?;
                let element = walk::child(value, step).ok_or(EditError::NotFound)?;
                place = inside(&place, element.value);
            }
            Some(b'n') => {
                let new = ["{", &nested(step, steps, json), "}"].concat();
                break spliced(root, place, &new);
            }
            _ => return Err(EditError::WrongKind),
        }
    };
    body.set(name, edited);
    Ok(())
}

/// Whether the value would be nested deeper at this path than a client's own.
pub(crate) fn is_too_deep(path: &str, json: &str) -> bool {
    // A value without brackets has no depth, and a scan costs more than a look for one.
    if path.len() < 64 && !json.starts_with(['{', '[']) {
        return false;
    }
    let outer = vec![b'['; path.split('.').count()];
    let mut scanner = Scanner::of_upstream();
    scanner.feed(&outer).and_then(|()| scanner.feed(json.as_bytes())).is_err()
}

/// Removes a parameter.
pub(crate) fn remove(body: &mut Body, path: &str) -> Result<(), EditError> {
    let Some((name, rest)) = path.split_once('.') else {
        return if body.remove(path) { Ok(()) } else { Err(EditError::NotFound) };
    };
    let root = body.member_text(name).ok_or(EditError::NotFound)?;
    let (parents, last) =
        rest.rsplit_once('.').map_or(("", rest), |(parents, last)| (parents, last));
    let parent = if parents.is_empty() { Some(0..root.len()) } else { walk::find(root, parents) };
    let parent = parent.ok_or(EditError::NotFound)?;
    let value = &root[parent.clone()];
    let child = walk::child(value, last).ok_or(EditError::NotFound)?;
    let name_start = if child.name.is_empty() && !value.starts_with('{') {
        child.value.start
    } else {
        child.name.start - 1
    };
    let gap = with_comma(value.as_bytes(), name_start..child.value.end);
    let edited = spliced(root, inside(&parent, gap), "");
    body.set(name, edited);
    Ok(())
}

/// Translates a range within a value into a range of the outer text.
fn inside(outer: &Range<usize>, inner: Range<usize>) -> Range<usize> {
    outer.start + inner.start..outer.start + inner.end
}

/// The text with one range replaced.
fn spliced(text: &str, place: Range<usize>, new: &str) -> Bytes {
    passed::add(text.len());
    [&text[..place.start], new, &text[place.end..]].concat().into()
}

/// `"step":{"next":…json…}`
fn nested<'a>(step: &str, rest: impl Iterator<Item = &'a str>, json: &str) -> String {
    let name = |step: &str| String::from_utf8_lossy(&json_text(step)).into_owned();
    let mut new = name(step);
    new.push(':');
    let mut open = 0;
    for step in rest {
        new.push('{');
        new.push_str(&name(step));
        new.push(':');
        open += 1;
    }
    new.push_str(json);
    new.extend(std::iter::repeat_n('}', open));
    new
}

/// An item with the comma before it, or with the comma after it if it is the first.
fn with_comma(text: &[u8], item: Range<usize>) -> Range<usize> {
    let before = text[..item.start].trim_ascii_end();
    if before.ends_with(b",") {
        return before.len() - 1..item.end;
    }
    let behind = text[item.end..].trim_ascii_start();
    let comma = behind.strip_prefix(b",").map(<[u8]>::trim_ascii_start);
    item.start..text.len() - comma.unwrap_or(behind).len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn read<'a>(body: &'a Body, path: &str) -> Option<&'a str> {
        match path.split_once('.') {
            Some((name, rest)) => within(body.member_text(name)?, rest),
            None => body.member_text(path),
        }
    }

    fn body() -> Body {
        Body::parse(Bytes::from_static(
            br#"{"t":0.5,"f":{"type":"json","s":{"a":[1,2]}},"tools":[{"n":"x"}]}"#,
        ))
        .unwrap()
    }

    #[test]
    fn an_edit_nests_no_deeper_than_a_client_may() {
        let deep = |levels: usize| vec!["a"; levels].join(".");
        let lists = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        for (path, json, expected) in [
            (deep(128), "1".to_owned(), Ok(())),
            (deep(129), "1".to_owned(), Err(EditError::TooLarge)),
            (deep(28), lists(100), Ok(())),
            (deep(28), lists(101), Err(EditError::TooLarge)),
            (deep(129), lists(1), Err(EditError::TooLarge)),
        ] {
            let mut body = Body::parse(Bytes::from_static(b"{}")).unwrap();
            assert_eq!(set(&mut body, &path, &json), expected, "{path} {json}");
            assert!(Scanner::scan(&body.render().concat()).is_ok(), "{path} {json}");
        }
    }

    #[test]
    fn reads_by_path() {
        for (path, expected) in [
            ("t", Some("0.5")),
            ("f.type", Some("\"json\"")),
            ("f.s.a.1", Some("2")),
            ("tools.0.n", Some("\"x\"")),
            ("tools.1", None),
            ("t.x", None),
            ("nope", None),
            ("", None),
        ] {
            assert_eq!(read(&body(), path), expected, "{path}");
        }
    }

    #[test]
    fn sets_and_removes_by_path() {
        let mut edited = body();
        set(&mut edited, "f.s.b.c", "true").unwrap();
        set(&mut edited, "tools.0.n", "\"y\"").unwrap();
        set(&mut edited, "new.deep", "1").unwrap();
        remove(&mut edited, "f.s.a").unwrap();
        remove(&mut edited, "t").unwrap();
        assert_eq!(set(&mut edited, "tools.x", "1"), Err(EditError::WrongKind));
        assert_eq!(set(&mut edited, "t", "{"), Err(EditError::NotJson));
        assert_eq!(remove(&mut edited, "f.nope"), Err(EditError::NotFound));
        assert_eq!(
            edited.rendered(),
            r#"{"f":{"type":"json","s":{"b":{"c":true}}},"tools":[{"n":"y"}],"new":{"deep":1}}"#
        );
    }

    #[test]
    fn what_a_path_does_not_name_stays_byte_for_byte() {
        let text =
            r#"{"a": { "x" : 1e999 , "big":123456789012345678901234567890, "y":[ 1 , 2 ,3] } }"#;
        for (path, json, expected) in [
            (
                "a.x",
                Some("2"),
                r#"{ "x" : 2 , "big":123456789012345678901234567890, "y":[ 1 , 2 ,3] }"#,
            ),
            ("a.x", None, r#"{ "big":123456789012345678901234567890, "y":[ 1 , 2 ,3] }"#),
            ("a.y", None, r#"{ "x" : 1e999 , "big":123456789012345678901234567890 }"#),
            (
                "a.y.0",
                None,
                r#"{ "x" : 1e999 , "big":123456789012345678901234567890, "y":[ 2 ,3] }"#,
            ),
            (
                "a.y.2",
                None,
                r#"{ "x" : 1e999 , "big":123456789012345678901234567890, "y":[ 1 , 2 ] }"#,
            ),
            (
                "a.z.q",
                Some("\"\""),
                r#"{ "x" : 1e999 , "big":123456789012345678901234567890, "y":[ 1 , 2 ,3] ,"z":{"q":""}}"#,
            ),
        ] {
            let mut body = Body::parse(text.into()).unwrap();
            match json {
                Some(json) => set(&mut body, path, json).unwrap(),
                None => remove(&mut body, path).unwrap(),
            }
            assert_eq!(body.member_text("a"), Some(expected), "{path}");
        }
    }

    #[test]
    fn edits_at_random_agree_with_a_tree() {
        let mut random = fastrand::Rng::with_seed(3);
        let names = ["a", "b", "0", "1"];
        let mut body = Body::parse(r#"{"r":{"a":[1,{"b":null}],"b":{"0":{}}}}"#.into()).unwrap();
        for _ in 0..2000 {
            let steps: Vec<_> = (0..random.usize(1..4)).map(|_| names[random.usize(..4)]).collect();
            let path = format!("r.{}", steps.join("."));
            let json = ["1", "{}", "[null,[]]", "{\"a\":{\"b\":2}}", "null"][random.usize(..5)];
            let before: Value = serde_json::from_slice(&body.rendered()).unwrap();
            let at = |value: &Value| {
                let pointer = format!("/r/{}", steps.join("/"));
                value.pointer(&pointer).cloned()
            };
            if random.bool() {
                let done = set(&mut body, &path, json);
                let after: Value = serde_json::from_slice(&body.rendered()).unwrap();
                match done {
                    Ok(()) => assert_eq!(
                        at(&after).unwrap(),
                        serde_json::from_str::<Value>(json).unwrap()
                    ),
                    Err(_) => assert_eq!(after, before),
                }
            } else {
                let done = remove(&mut body, &path);
                assert_eq!(done.is_ok(), at(&before).is_some(), "{path} of {before}");
                let _: Value = serde_json::from_slice(&body.rendered()).unwrap();
            }
        }
    }
}
