//! A config as flat lines, each with a key path and a value, to compare two versions. The values
//! are those in the file, with variables as written.

use super::{
    quote::quoted,
    yaml::{Kind, Node},
};
use callgate_secret::{keys_in, names_a_secret};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::Bound,
};

/// The lines of a config. They may contain literal secrets from the file: there is no `Debug` that
/// shows them, and only a [`SealedOutline`] can be stored.
#[derive(Clone, Default)]
pub struct Outline(BTreeMap<String, Line>);

#[derive(Clone, PartialEq, Eq)]
struct Line {
    text: String,
    is_secret: bool,
}

/// An [`Outline`] with salted hashes in place of secrets, which still show changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedOutline {
    salt: String,
    lines: BTreeMap<String, SealedLine>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SealedLine {
    Text(String),
    Secret(String),
}

impl Outline {
    pub(super) fn of(root: &Node) -> Self {
        let mut outline = Self::default();
        outline.add(root, "", false);
        outline
    }

    fn add(&mut self, node: &Node, path: &str, is_secret: bool) {
        match &node.kind {
            Kind::Scalar(scalar) => self.line(path, scalar.text.clone(), is_secret),
            Kind::Mapping(entries) => entries.iter().for_each(|entry| {
                let path = join(path, &entry.key);
                self.add(&entry.value, &path, is_secret || names_a_secret(&entry.key));
            }),
            Kind::Sequence(items) => self.add_list(items, path, is_secret),
        }
    }

    /// Named items are identified by their names, so that moving one changes only the line with the
    /// order.
    fn add_list(&mut self, items: &[Node], path: &str, is_secret: bool) {
        let names: Vec<_> = items.iter().map(name_of).collect();
        let mut taken = BTreeSet::new();
        for (index, (item, name)) in items.iter().zip(&names).enumerate() {
            if let Kind::Scalar(_) = item.kind {
                continue;
            }
            let mut key = name.clone().unwrap_or_else(|| index.to_string());
            while !taken.insert(key.clone()) {
                key.push('\'');
            }
            self.add(item, &format!("{path}[{key}]"), is_secret);
        }
        let all_named = names.iter().all(Option::is_some);
        if all_named {
            let order: Vec<_> = names.into_iter().flatten().collect();
            self.line(path, format!("[{}]", order.join(", ")), is_secret);
        }
    }

    fn line(&mut self, path: &str, text: String, is_secret: bool) {
        let is_secret = is_secret || keys_in(&text).next().is_some();
        self.0.insert(path.to_owned(), Line { text, is_secret });
    }

    /// The outline with hashed secrets.
    #[must_use]
    pub fn seal(&self, salt: &str) -> SealedOutline {
        let seal = |line: &Line| match line {
            Line { text, is_secret: true } if !is_variable(text) => {
                let hash = Sha256::digest([salt.as_bytes(), text.as_bytes()].concat());
                SealedLine::Secret(hash[..8].iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Line { text, .. } => SealedLine::Text(text.clone()),
        };
        let lines = self.0.iter().map(|(path, line)| (path.clone(), seal(line)));
        SealedOutline { salt: salt.to_owned(), lines: lines.collect() }
    }
}

impl SealedOutline {
    /// The outline of another version, with the same salt, for comparison with this one.
    #[must_use]
    pub fn resealed(&self, next: &Outline) -> Self {
        next.seal(&self.salt)
    }

    /// One sentence for each difference of `next`, in the order of key paths.
    #[must_use]
    pub fn changes(&self, next: &Outline) -> Vec<String> {
        let next = next.seal(&self.salt);
        let paths: BTreeSet<_> = self.lines.keys().chain(next.lines.keys()).collect();
        let mut whole: Option<&str> = None;
        paths
            .into_iter()
            .filter_map(|path| {
                if whole.is_some_and(|item| is_below(path, item)) {
                    return None;
                }
                if let Some(item) = items(path).find(|item| self.has(item) != next.has(item)) {
                    whole = Some(item);
                    let change = if next.has(item) { "added" } else { "removed" };
                    return Some(format!("{item}: {change}"));
                }
                let change = match (self.lines.get(path), next.lines.get(path)) {
                    (before, after) if before == after => return None,
                    (Some(SealedLine::Text(before)), Some(SealedLine::Text(after))) => {
                        format!("`{}` → `{}`", quoted(before), quoted(after))
                    }
                    (None, Some(SealedLine::Text(after))) => format!("added: `{}`", quoted(after)),
                    (None, _) => "added".to_owned(),
                    (Some(SealedLine::Text(before)), None) => {
                        format!("removed: `{}`", quoted(before))
                    }
                    (_, None) => "removed".to_owned(),
                    (Some(_), Some(_)) => "changed".to_owned(),
                };
                Some(format!("{path}: {change}"))
            })
            .collect()
    }

    /// Whether there is anything at or below `path`.
    fn has(&self, path: &str) -> bool {
        let range = (Bound::Included(path), Bound::Unbounded);
        let mut lines = self.lines.range::<str, _>(range);
        lines.next().is_some_and(|(found, _)| is_below(found, path))
    }
}

/// Whether `path` is that of `item`, or of a part of it.
fn is_below(path: &str, item: &str) -> bool {
    path.strip_prefix(item).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The list items that a path leads through, the outermost first.
fn items(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices(']').map(|(at, _)| path.split_at(at + 1));
    // A bracket may be part of a name.
    let whole = ends.filter(|(_, rest)| rest.is_empty() || rest.starts_with(['.', '[']));
    whole.map(|(item, _)| item)
}

impl fmt::Debug for Outline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outline({} lines)", self.0.len())
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The name of a list item: a scalar's text, the `model_name` of a deployment, the `instance` or
/// `name` of a callback, or the only key of a mapping.
fn name_of(item: &Node) -> Option<String> {
    let text = |node: &Node| match &node.kind {
        Kind::Scalar(scalar) => Some(scalar.text.clone()),
        Kind::Mapping(_) | Kind::Sequence(_) => None,
    };
    let entries = match &item.kind {
        Kind::Mapping(entries) => entries,
        Kind::Scalar(_) | Kind::Sequence(_) => return text(item),
    };
    let member = |name: &str| entries.iter().find(|entry| entry.key == name);
    let named = ["model_name", "instance", "name", "plugin", "path"];
    named.iter().find_map(|name| text(&member(name)?.value)).or_else(|| match &entries[..] {
        [only] => Some(only.key.clone()),
        _ => None,
    })
}

/// Whether the text is a reference to a variable, which shows no secret.
fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix("os.environ/");
    let name = name.or_else(|| text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')));
    name.is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

#[cfg(test)]
mod tests {
    use crate::{Environment, UnknownKeys, parse};
    use std::{path::Path, sync::Arc};

    fn changes(before: &str, after: &str) -> Vec<String> {
        let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
        let read = |text| parse(&file, text, &Environment::default(), UnknownKeys::Warn).unwrap();
        read(before).outline.seal("salt").changes(&read(after).outline)
    }

    #[test]
    fn a_change_is_named_by_what_it_changes() {
        let model = |name: &str, key: &str| {
            format!("{{model_name: {name}, litellm_params: {{model: openai/x, api_key: {key}}}}}")
        };
        let (a, b) = (model("a", "sk-aaaaaaaaaaaaaaaaaaaaaaaa"), model("b", "none"));
        let before = format!("model_list: [{a}, {b}]\ncallgate: {{limits: {{body_timeout: 5}}}}");
        assert_eq!(changes(&before, &before), [""; 0]);
        assert_eq!(
            changes(&before, &before.replace("body_timeout: 5", "write_timeout: 6")),
            [
                "callgate.limits.body_timeout: removed: `5`",
                "callgate.limits.write_timeout: added: `6`"
            ]
        );
        let moved = format!("model_list: [{b}, {a}]\ncallgate: {{limits: {{body_timeout: 7}}}}");
        assert_eq!(
            changes(&before, &moved),
            ["callgate.limits.body_timeout: `5` → `7`", "model_list: `[a, b]` → `[b, a]`"]
        );
        let rotated = before.replace("sk-aaa", "sk-bbb");
        assert_eq!(changes(&before, &rotated), ["model_list[a].litellm_params.api_key: changed"]);
    }

    #[test]
    fn an_item_that_comes_or_goes_is_one_line() {
        let model = |name: &str| {
            format!(
                "{{model_name: \"{name}\", litellm_params: {{model: openai/x, api_key: none}}}}"
            )
        };
        let (a, b) = (model("a[1]"), model("b"));
        let one = format!("model_list: [{a}]");
        let two = format!("model_list: [{a}, {b}]");
        assert_eq!(
            changes(&one, &two),
            ["model_list: `[a[1]]` → `[a[1], b]`", "model_list[b]: added"]
        );
        assert_eq!(
            changes(&two, &format!("model_list: [{b}]")),
            ["model_list: `[a[1], b]` → `[b]`", "model_list[a[1]]: removed"]
        );
    }

    #[test]
    fn the_order_of_callbacks_is_one_line() {
        let list = |callbacks: &str| format!("litellm_settings: {{callbacks: {callbacks}}}");
        assert_eq!(
            changes(&list("[routing, rate_limit]"), &list("[rate_limit, routing, langsmith]")),
            ["litellm_settings.callbacks: `[routing, rate_limit]` → \
                 `[rate_limit, routing, langsmith]`"]
        );
        assert_eq!(
            changes(
                &list("[{name: routing, on_error: fail}]"),
                &list("[{name: routing, on_error: ignore}]")
            ),
            ["litellm_settings.callbacks[routing].on_error: `fail` → `ignore`"]
        );
    }
}
