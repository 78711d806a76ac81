//! Expands variables in one parsed string: `${NAME}` and `${NAME:-default}` anywhere,
//! `os.environ/NAME` as the whole value, `$${` for a literal `${`. It runs after YAML parsing, so a
//! variable's value can never become YAML. `reader` calls it for every string value.

use super::environment::Environment;

/// The result of expanding a string.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expanded {
    /// The text, and the first variable that was inserted.
    Text(String, Option<String>),
    /// A variable that is not set.
    Unset(String),
    /// A `${` without a valid variable name after it.
    Malformed(String),
}

const WHOLE: &str = "os.environ/";

pub(super) fn expand(text: &str, env: &Environment) -> Expanded {
    if let Some(name) = text.strip_prefix(WHOLE) {
        return match env.var(name) {
            _ if !is_name(name) => Expanded::Malformed(text.to_owned()),
            Some(value) => Expanded::Text(value.to_owned(), Some(name.to_owned())),
            None => Expanded::Unset(name.to_owned()),
        };
    }
    let mut out = String::new();
    let mut variable = None;
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, reference) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &reference[2..];
            continue;
        }
        out.push_str(before);
        let inner = reference[2..].split_once('}');
        let parts = inner.map(|(inner, after)| (inner.split_once(":-"), inner, after));
        let (name, default, after) = match parts {
            Some((Some((name, default)), _, after)) => (name, Some(default), after),
            Some((None, name, after)) => (name, None, after),
            None => return Expanded::Malformed(reference.to_owned()),
        };
        if !is_name(name) {
            return Expanded::Malformed(reference.to_owned());
        }
        rest = after;
        // As in a shell, an empty variable takes the default, too.
        match (env.var(name), default) {
            (Some("") | None, Some(default)) => {
                out.push_str(default);
                continue;
            }
            (Some(value), _) => out.push_str(value),
            (None, None) => return Expanded::Unset(name.to_owned()),
        }
        variable.get_or_insert_with(|| name.to_owned());
    }
    out.push_str(rest);
    Expanded::Text(out, variable)
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::{Environment, Expanded, expand};

    #[track_caller]
    fn check(text: &str, expected: &Expanded) {
        let env = Environment::from_pairs([("A", "1"), ("B", "${A}"), ("EMPTY", "")]);
        assert_eq!(expand(text, &env), *expected, "{text}");
    }

    fn text(text: &str, variable: Option<&str>) -> Expanded {
        Expanded::Text(text.to_owned(), variable.map(str::to_owned))
    }

    #[test]
    fn references_are_expanded_whole_or_in_part() {
        check("plain $A {A} $ $$", &text("plain $A {A} $ $$", None));
        check("${A}", &text("1", Some("A")));
        check("os.environ/A", &text("1", Some("A")));
        check("x${A}y${A}z", &text("x1y1z", Some("A")));
        check("${EMPTY}", &text("", Some("EMPTY")));
        check("see os.environ/A", &text("see os.environ/A", None));
    }

    #[test]
    fn a_value_is_not_expanded_again() {
        check("${B}", &text("${A}", Some("B")));
        check("os.environ/B", &text("${A}", Some("B")));
    }

    #[test]
    fn a_doubled_dollar_keeps_the_literal() {
        check("$${A}", &text("${A}", None));
        check("$${${A}", &text("${1", Some("A")));
        check("$$${A}", &text("$${A}", None));
    }

    #[test]
    fn a_default_stands_for_a_variable_that_is_unset_or_empty() {
        check("${NO:-x}", &text("x", None));
        check("${EMPTY:-x}y", &text("xy", None));
        check("${A:-x}", &text("1", Some("A")));
        check("${NO:-}", &text("", None));
        check("http://${NO:-h:80}/${A}", &text("http://h:80/1", Some("A")));
    }

    #[test]
    fn a_missing_variable_is_named() {
        check("${NO}", &Expanded::Unset("NO".into()));
        check("os.environ/NO", &Expanded::Unset("NO".into()));
        check("${A}${NO}", &Expanded::Unset("NO".into()));
    }

    #[test]
    fn what_only_looks_like_a_reference_is_refused() {
        for bad in [
            "${",
            "${}",
            "${A",
            "${A:x}",
            "${1:-A}",
            "${1A}",
            "${é}",
            "os.environ/",
            "os.environ/A B",
        ] {
            check(bad, &Expanded::Malformed(bad.into()));
        }
    }
}
