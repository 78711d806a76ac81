//! Parameters of the body by dotted path: `temperature`, `response_format.type`, `tools.0.type`.

use crate::json::Body;
use bytes::Bytes;
use plugin_api::EditError;
use serde_json::Value;

/// The JSON text at `path`; owned when the path leads below the top level.
pub(crate) enum Param<'a> {
    Member(&'a str),
    Nested(String),
}

/// Reads a parameter.
pub(crate) fn read<'a>(body: &'a Body, path: &str) -> Option<Param<'a>> {
    let Some((name, rest)) = path.split_once('.') else {
        return body.member_text(path).map(Param::Member);
    };
    let mut value = &serde_json::from_str::<Value>(body.member_text(name)?).ok()?;
    for step in rest.split('.') {
        value = child(value, step)?;
    }
    Some(Param::Nested(value.to_string()))
}

/// Sets a parameter; objects missing on the way are made.
pub(crate) fn set(body: &mut Body, path: &str, json: &str) -> Result<(), EditError> {
    let new: Value = serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
    let Some((name, rest)) = path.split_once('.') else {
        body.set(path, Bytes::copy_from_slice(json.as_bytes()));
        return Ok(());
    };
    let mut root = match body.member_text(name) {
        None | Some("null") => Value::Object(serde_json::Map::new()),
        Some(text) => serde_json::from_str(text).map_err(|_| EditError::NotJson)?,
    };
    let mut slot = &mut root;
    for step in rest.split('.') {
        slot = match slot {
            Value::Object(object) => object.entry(step).or_insert_with(|| Value::Null),
            Value::Array(items) => {
                let index: usize = step.parse().map_err(|_| EditError::WrongKind)?;
                items.get_mut(index).ok_or(EditError::NotFound)?
            }
            Value::Null => {
                *slot = Value::Object(serde_json::Map::new());
                let Value::Object(object) = slot else { return Err(EditError::WrongKind) };
                object.entry(step).or_insert(Value::Null)
            }
            _ => return Err(EditError::WrongKind),
        };
    }
    *slot = new;
    body.set(name, root.to_string());
    Ok(())
}

/// Removes a parameter.
pub(crate) fn remove(body: &mut Body, path: &str) -> Result<(), EditError> {
    let Some((name, rest)) = path.split_once('.') else {
        return if body.remove(path) { Ok(()) } else { Err(EditError::NotFound) };
    };
    let text = body.member_text(name).ok_or(EditError::NotFound)?;
    let mut root: Value = serde_json::from_str(text).map_err(|_| EditError::NotJson)?;
    let (parents, last) = rest.rsplit_once('.').map_or((None, rest), |(p, last)| (Some(p), last));
    let mut slot = &mut root;
    for step in parents.into_iter().flat_map(|parents| parents.split('.')) {
        slot = match slot {
            Value::Object(object) => object.get_mut(step),
            Value::Array(items) => {
                step.parse::<usize>().ok().and_then(|index| items.get_mut(index))
            }
            _ => None,
        }
        .ok_or(EditError::NotFound)?;
    }
    match slot {
        Value::Object(object) => object.shift_remove(last).map(drop),
        Value::Array(items) => last
            .parse::<usize>()
            .ok()
            .filter(|index| *index < items.len())
            .map(|index| drop(items.remove(index))),
        _ => None,
    }
    .ok_or(EditError::NotFound)?;
    body.set(name, root.to_string());
    Ok(())
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(object) => object.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> Body {
        Body::parse(Bytes::from_static(
            br#"{"t":0.5,"f":{"type":"json","s":{"a":[1,2]}},"tools":[{"n":"x"}]}"#,
        ))
        .unwrap()
    }

    fn at(body: &Body, path: &str) -> Option<String> {
        read(body, path).map(|param| match param {
            Param::Member(text) => text.to_owned(),
            Param::Nested(text) => text,
        })
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
            assert_eq!(at(&body(), path).as_deref(), expected, "{path}");
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
}
