//! Providers that settings of callbacks name: a limit or a rule for one that no deployment has does
//! nothing, and a misspelt one is a limit less.

use serde_json::Value;

use super::Deployments;
use crate::config::{CallbackEntry, Place, Problem, closest};

/// The shipped callbacks whose settings have members called `provider`.
const NAMING: [&str; 2] = ["rate_limit", "routing"];

/// A warning for each provider that is named and that no deployment has.
pub(crate) fn unknown_providers(
    entries: &[CallbackEntry],
    deployments: &Deployments,
) -> Vec<Problem> {
    let labels = deployments.providers();
    let mut problems = Vec::new();
    for entry in entries.iter().filter(|entry| NAMING.contains(&entry.name.as_str())) {
        let mut named = Vec::new();
        providers(&entry.settings, &entry.settings_path, &mut named);
        for (path, name) in named {
            if labels.iter().any(|label| matches(&name, label)) {
                continue;
            }
            let text =
                format!("no deployment has the provider `{name}`, so this applies to no call");
            let problem = Problem::warning(Place { path, ..entry.place.clone() }, text);
            problems.push(match closest(&name, labels.iter().copied()) {
                Some(near) => problem.remedy(format!("did you mean `{near}`?")),
                None => problem.remedy(format!("the providers are {}", labels.join(", "))),
            });
        }
    }
    problems
}

fn providers(value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let path = format!("{path}.{name}");
                match value {
                    Value::String(text) if name == "provider" => into.push((path, text.clone())),
                    value => providers(value, &path, into),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                providers(item, &format!("{path}[{index}]"), into);
            }
        }
        _ => {}
    }
}

/// A pattern's `*` stands for any text.
fn matches(pattern: &str, label: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == label };
    let Some(mut left) = label.strip_prefix(first) else { return false };
    let mut pieces: Vec<_> = rest.split('*').collect();
    let last = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(at) = left.find(piece) else { return false };
        left = &left[at + piece.len()..];
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn providers_are_found_at_any_depth_and_patterns_match() {
        let settings = json!({"limits": [{"provider": "grok"}, {"model": "x"}],
            "otherwise": {"provider": "ollama"}});
        let mut named = Vec::new();
        providers(&settings, "s", &mut named);
        named.sort();
        let named: Vec<_> = named.iter().map(|(path, name)| (&**path, &**name)).collect();
        assert_eq!(named, [("s.limits[0].provider", "grok"), ("s.otherwise.provider", "ollama")]);
        for (pattern, expected) in [
            ("groq", true),
            ("grok", false),
            ("*", true),
            ("g*q", true),
            ("*x*", false),
            ("gr*oq*q", false),
        ] {
            assert_eq!(matches(pattern, "groq"), expected, "{pattern}");
        }
    }
}
