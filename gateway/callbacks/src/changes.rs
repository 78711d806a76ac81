//! The differences between two JSON values.

use serde::Serialize;
use serde_json::Value;

/// One difference; `None` on the side without a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The key path of the value.
    pub path: String,
    /// The value before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// All differences, down to the depth where both sides have the same shape. `null` counts as
/// absent.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
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

fn child(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
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
}
