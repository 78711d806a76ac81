//! Reads the keys of an entry that say which calls it is for.

use super::{
    entry::CallbackEntry,
    policy::{CallScope, Canary, Mode, OnError},
    policy_keys::named,
};
use crate::{
    problem::{Problem, SourceLocation},
    reader::{Field, Reader},
    section::Section,
    yaml::Kind,
};
use callgate_providers::CallKind;
use callgate_secret::credentials::is_credential;

/// Reads the scope's keys of one entry.
pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section<'_>, entry: &mut CallbackEntry) {
    let protects = section.take("protects").and_then(|field| reader.boolean(&field));
    entry.protects = protects.unwrap_or(false);
    if let Some(field) = section.take("only") {
        entry.only = scope(reader, &field, entry.protects);
    }
    if let Some(field) = section.take("except") {
        let except = scope(reader, &field, entry.protects);
        if except == CallScope::default() && reader.section(&field).is_some() {
            reader.error(&field, "expected at least one list of calls, found none");
        }
        entry.except = Some(except);
    }
    if let Some(field) = section.take("canary") {
        entry.canary = canary(reader, &field);
    }
    if let Some(field) = section.take("skippable_by") {
        entry.skippable_by = header_names(reader, &field);
        if entry.protects {
            refuse(reader, &field, "a client could skip it with this");
        }
    }
}

/// Warns of keys with which an entry that protects would let calls pass unprotected. All keys of
/// the entry have been read.
pub(super) fn warn_of_gaps(reader: &mut Reader<'_>, entry: &CallbackEntry) {
    let gaps = [
        (entry.on_error != OnError::Fail, "on_error", "calls go on after a fault of it"),
        (entry.mode == Mode::Shadow, "mode", "in `shadow` it refuses and changes nothing"),
        (entry.canary.is_some(), "canary", "it is for some of the callers"),
        (!entry.required, "required", "the gateway starts without it"),
    ];
    for (_, key, effect) in gaps.into_iter().filter(|(is_gap, ..)| *is_gap && entry.protects) {
        let path = format!("{}.{key}", entry.place.path);
        let place = SourceLocation { path, ..entry.place.clone() };
        let text = format!("this entry has `protects: true`, but {effect}");
        reader.problems.push(Problem::warning(place, text).remedy(format!("remove `{key}`")));
    }
}

fn scope(reader: &mut Reader<'_>, field: &Field<'_>, protects: bool) -> CallScope {
    let Some(mut section) = reader.section(field) else { return CallScope::default() };
    let mut chosen_by_client = Vec::new();
    let mut list = |reader: &mut Reader<'_>, key| {
        let field = section.take(key)?;
        let patterns = patterns(reader, &field);
        if ["paths", "request_tags"].contains(&key) {
            chosen_by_client.push(field);
        }
        Some(patterns)
    };
    let mut patterns_of = |reader: &mut Reader<'_>, key| list(reader, key).unwrap_or_default();
    let mut scope = CallScope {
        models: patterns_of(reader, "models"),
        paths: patterns_of(reader, "paths"),
        keys: patterns_of(reader, "keys"),
        users: patterns_of(reader, "users"),
        teams: patterns_of(reader, "teams"),
        tags: patterns_of(reader, "tags"),
        request_tags: patterns_of(reader, "request_tags"),
        ..CallScope::default()
    };
    if let Some(field) = section.take("endpoints") {
        let names = named(reader, &field, "an endpoint", &CallKind::ALL.map(CallKind::name));
        scope.endpoints = names.into_iter().map(|it| it.name).collect();
    }
    if let Some(field) = section.take("headers") {
        scope.headers = headers(reader, &field);
        chosen_by_client.push(field);
    }
    section.finish_own(reader);
    for field in chosen_by_client.iter().filter(|_| protects) {
        refuse(reader, field, "a client could avoid it by what it sends");
    }
    scope
}

/// A list of patterns.
fn patterns(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    if field.node.is_empty_list() {
        reader.error(field, "expected at least one, found none; leave the key out for all");
    }
    reader.texts(field)
}

/// Header names, each with a pattern or a list of patterns.
fn headers(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<(String, Vec<String>)> {
    let Some(section) = reader.section(field) else { return Vec::new() };
    let mut headers = Vec::new();
    for (name, value) in section.members() {
        let patterns = match &value.node.kind {
            Kind::Sequence(_) => patterns(reader, &value),
            _ => reader.text(&value).into_iter().collect(),
        };
        let Some(name) = header_name(name) else {
            reader.error(&value, "expected the name of a header before this");
            continue;
        };
        refuse_credential(reader, &value, &name);
        headers.push((name, patterns));
    }
    headers
}

fn header_names(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    if field.node.is_empty_list() {
        reader.error(field, "expected the name of a header at least, found none");
    }
    let mut names = Vec::new();
    for item in reader.list(field) {
        let Some(text) = reader.text(&item) else { continue };
        let Some(name) = header_name(&text) else {
            reader.expected(&item, "the name of a header, such as `x-skip-audit`");
            continue;
        };
        refuse_credential(reader, &item, &name);
        names.push(name);
    }
    names
}

/// In lower case; `None` if it is not the name of a header.
fn header_name(text: &str) -> Option<String> {
    let name = http::HeaderName::from_bytes(text.as_bytes()).ok()?;
    Some(name.as_str().to_owned())
}

/// Reports a header with credentials: a pattern for one would put a secret in the config, and
/// `keys` says whose key it is.
fn refuse_credential(reader: &mut Reader<'_>, field: &Field<'_>, name: &str) {
    if is_credential(name, None) {
        let text = format!("expected a header without credentials, found `{name}`");
        let remedy = "list the names of keys in `keys` instead";
        reader.problems.push(Problem::error(reader.place(field), text).remedy(remedy));
    }
}

/// Reports a key that lets a client decide whether a callback that protects runs.
fn refuse(reader: &mut Reader<'_>, field: &Field<'_>, why: &str) {
    let text = format!("expected no such key in an entry with `protects: true`, found one: {why}");
    let remedy = "remove the key, or `protects`";
    reader.problems.push(Problem::error(reader.place(field), text).remedy(remedy));
}

fn canary(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Canary> {
    let text = reader.text(field)?;
    let canary = text.parse().ok();
    if canary.is_none() {
        reader.expected(field, "a share of the callers, such as `10%` or `10%-100%`");
    }
    canary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Environment, UnknownKeys, parse};
    use std::{path::Path, sync::Arc};

    fn parsed(keys: &str) -> Result<CallbackEntry, String> {
        let text = format!("litellm_settings: {{callbacks: [{{name: a, {keys}}}]}}");
        let file = Arc::from(Path::new("config.yaml"));
        let config = parse(&file, &text, &Environment::default(), UnknownKeys::Refuse);
        let config = config.map_err(|problems| problems.to_string())?;
        Ok(config.callbacks.into_iter().next().expect("an entry"))
    }

    #[test]
    fn a_scope_is_read_whole() {
        let entry = parsed(
            "only: {teams: [core], users: ['a*'], tags: [x], request_tags: [y], paths: ['/v1/*'], \
             headers: {X-Tier: [gold, silver], x-one: '*'}}, except: {keys: [k]}, \
             skippable_by: [X-Skip]",
        );
        let entry = entry.unwrap();
        let list = |text: &str| vec![text.to_owned()];
        let expected = CallScope {
            paths: list("/v1/*"),
            users: list("a*"),
            teams: list("core"),
            tags: list("x"),
            request_tags: list("y"),
            headers: vec![
                ("x-tier".to_owned(), vec!["gold".to_owned(), "silver".to_owned()]),
                ("x-one".to_owned(), list("*")),
            ],
            ..CallScope::default()
        };
        assert_eq!(entry.only, expected);
        assert_eq!(entry.except, Some(CallScope { keys: list("k"), ..CallScope::default() }));
        assert_eq!((entry.skippable_by, entry.protects), (list("x-skip"), false));
    }

    #[test]
    fn what_protects_cannot_be_avoided_by_a_client() {
        for keys in [
            "skippable_by: [x-skip]",
            "only: {headers: {x-check: yes please}}",
            "except: {request_tags: [internal]}",
            "except: {paths: ['/chat/*']}",
        ] {
            assert!(parsed(keys).is_ok(), "{keys}");
            let said = parsed(&format!("protects: true, {keys}")).unwrap_err();
            assert!(said.contains("with `protects: true`"), "{keys}: {said}");
        }
        assert!(
            parsed("protects: true, only: {models: [m]}, except: {tags: [t]}").unwrap().protects
        );
    }

    #[test]
    fn a_gap_in_what_protects_draws_a_warning() {
        let text = "litellm_settings: {callbacks: [{name: a, protects: true, on_error: ignore, \
                    mode: shadow, canary: 10%, required: false}]}";
        let file = Arc::from(Path::new("config.yaml"));
        let config = parse(&file, text, &Environment::default(), UnknownKeys::Refuse).unwrap();
        let warned: Vec<_> = config.problems.iter().map(ToString::to_string).collect();
        for key in ["on_error", "mode", "canary", "required"] {
            let said = format!("callbacks[0].{key}: this entry has `protects: true`, but");
            assert!(warned.iter().any(|line| line.contains(&said)), "{key}: {warned:?}");
        }
    }

    #[test]
    fn empty_and_impossible_scopes_are_errors() {
        for (keys, said) in [
            ("only: {teams: []}", "found none; leave the key out for all"),
            ("except: {}", "expected at least one list of calls"),
            ("skippable_by: []", "expected the name of a header at least"),
            ("skippable_by: ['a b']", "such as `x-skip-audit`"),
            ("only: {headers: {'a b': x}}", "expected the name of a header"),
            ("only: {headers: {Authorization: x}}", "without credentials, found `authorization`"),
            ("except: {headers: {x-api-key: [x]}}", "without credentials, found `x-api-key`"),
            ("skippable_by: [Cookie]", "without credentials, found `cookie`"),
            ("only: {team: [a]}", "did you mean `teams`?"),
        ] {
            let found = parsed(keys).unwrap_err();
            assert!(found.contains(said), "{keys}: {found}");
        }
    }
}
