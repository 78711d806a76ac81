//! Deviations of a JSON value from the expected one, and values as people read them.

use callgate_callbacks::Change;
use serde_json::Value;

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
