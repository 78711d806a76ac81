//! Compares two JSON values: changes, and deviations from the expected value.

use serde::Serialize;
use serde_json::Value;

/// One difference; `None` on the side without a value.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Value>,
}

/// All differences, down to the depth where both sides have the same shape. `null` counts as
/// absent.
pub(super) fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    compare(String::new(), there(before), there(after), &mut found);
    found
}

fn there(value: &Value) -> Option<&Value> {
    Some(value).filter(|value| !value.is_null())
}

fn compare(path: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                let side = |members: &serde_json::Map<_, _>| members.get(name).cloned();
                let (old, new) = (side(old), side(new));
                let (old, new) = (old.as_ref().and_then(there), new.as_ref().and_then(there));
                compare(child(&path, name), old, new, found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                let path = format!("{path}[{index}]");
                compare(path, old.get(index), new.get(index), found);
            }
        }
        _ if before == after => {}
        _ => found.push(Change { path, before: before.cloned(), after: after.cloned() }),
    }
}

/// All places where `found` differs from `expected`; other members may have any value.
pub(super) fn unmet(expected: &Value, found: &Value) -> Vec<Change> {
    let mut unmet = Vec::new();
    demand(String::new(), expected, Some(found), &mut unmet);
    unmet
}

fn demand(path: String, expected: &Value, found: Option<&Value>, unmet: &mut Vec<Change>) {
    match (expected, found) {
        (Value::Object(wanted), Some(Value::Object(found))) => {
            for (name, wanted) in wanted {
                demand(child(&path, name), wanted, found.get(name), unmet);
            }
        }
        (Value::Array(wanted), Some(Value::Array(found))) if wanted.len() == found.len() => {
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                demand(format!("{path}[{index}]"), wanted, Some(found), unmet);
            }
        }
        (Value::Null, None) => {}
        _ if Some(expected) == found => {}
        _ => {
            let before = Some(expected.clone());
            unmet.push(Change { path, before, after: found.cloned() });
        }
    }
}

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value on one readable line.
pub(super) fn shown(value: Option<&Value>) -> String {
    const WIDTH: usize = 120;
    let text = value.map_or_else(|| "nothing".to_owned(), ToString::to_string);
    if text.chars().count() <= WIDTH {
        return text;
    }
    let start: String = text.chars().take(WIDTH).collect();
    format!("{start}… ({} bytes)", text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn differences_are_reported_with_their_paths() {
        let before = json!({"a": 1, "b": [1, {"c": "x"}], "d": null, "e": "gone"});
        let after = json!({"a": 1, "b": [1, {"c": "y"}, 3], "d": "new"});
        let paths: Vec<_> = changes(&before, &after).into_iter().map(|it| it.path).collect();
        assert_eq!(paths, ["b[1].c", "b[2]", "d", "e"]);
        assert_eq!(changes(&before, &before), []);
    }

    #[test]
    fn only_what_is_named_is_expected() {
        let found = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
        for (expected, unmet_paths) in [
            (json!({}), vec![]),
            (json!({"model": "m", "absent": null}), vec![]),
            (json!({"messages": [{"content": "y"}]}), vec!["messages[0].content"]),
            (json!({"messages": []}), vec!["messages"]),
            (json!({"absent": 1}), vec!["absent"]),
        ] {
            let paths: Vec<_> = unmet(&expected, &found).into_iter().map(|it| it.path).collect();
            assert_eq!(paths, unmet_paths, "{expected}");
        }
    }

    #[test]
    fn long_values_are_cut() {
        let long = json!("ä".repeat(500));
        let shown = shown(Some(&long));
        assert!(shown.ends_with("… (1002 bytes)") && shown.chars().count() < 140, "{shown}");
    }
}
