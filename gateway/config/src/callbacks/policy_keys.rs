//! Reads the keys of an entry's policy.

use super::{
    entry::CallbackEntry,
    policy::{BreakerLimits, ChosenHook, Mode, OnError, Streams},
};
use crate::{
    closest::closest,
    problem::Problem,
    reader::{Field, Reader},
    section::Section,
};
use std::time::Duration;

const HOOKS: [&str; 7] = [
    "on_llm_start",
    "on_llm_during",
    "on_llm_new_token",
    "on_llm_end",
    "on_llm_error",
    "on_auth",
    "on_list_models",
];

/// Reads the policy's keys of one entry.
pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section<'_>, entry: &mut CallbackEntry) {
    if let Some(field) = section.take("on_error") {
        let known = [OnError::Fail, OnError::Ignore, OnError::Disable];
        entry.on_error = one_of(reader, &field, known, OnError::name).unwrap_or_default();
    }
    if let Some(field) = section.take("mode") {
        let known = [Mode::Inline, Mode::Blocking, Mode::Shadow];
        entry.mode = one_of(reader, &field, known, Mode::name).unwrap_or_default();
    }
    if let Some(field) = section.take("streams") {
        entry.streams =
            one_of(reader, &field, [Streams::Relayed, Streams::Buffered], Streams::name);
    }
    entry.timeout = section.take("timeout").and_then(|field| reader.duration(&field));
    if let Some(field) = section.take("hooks") {
        entry.hooks = Some(hooks(reader, &field));
    }
    if let Some(field) = section.take("breaker") {
        entry.breaker = breaker(reader, &field);
    }
}

fn one_of<T: Copy, const N: usize>(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    known: [T; N],
    name: impl Fn(T) -> &'static str,
) -> Option<T> {
    let text = reader.text(field)?;
    let found = known.into_iter().find(|it| name(*it) == text);
    if found.is_none() {
        let names: Vec<_> = known.iter().map(|it| format!("`{}`", name(*it))).collect();
        let (last, first) = names.split_last().map_or(("", &[][..]), |(l, f)| (l.as_str(), f));
        reader.expected(field, &format!("{} or {last}", first.join(", ")));
    }
    found
}

fn hooks(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<ChosenHook> {
    named(reader, field, "a hook", &HOOKS)
}

/// A list of names, each of them one of `known`.
pub(super) fn named(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    what: &str,
    known: &[&'static str],
) -> Vec<ChosenHook> {
    let items = reader.list(field);
    if field.node.is_empty_list() {
        let text = format!("expected {what} at least, found none; leave the key out for all");
        reader.error(field, text);
    }
    let mut found = Vec::new();
    for item in items {
        let Some(name) = reader.text(&item) else { continue };
        if known.contains(&name.as_str()) {
            found.push(ChosenHook { name, place: reader.place(&item) });
            continue;
        }
        let text = format!("expected {what}, found {}", reader.found(&item));
        let remedy = match closest(&name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known are {}", known.join(", ")),
        };
        reader.problems.push(Problem::error(reader.place(&item), text).remedy(remedy));
    }
    found
}

/// `None` for `false`.
fn breaker(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<BreakerLimits> {
    let mut limits = BreakerLimits::default();
    let Some(mut section) = Section::of(field) else {
        return reader.boolean(field).unwrap_or(true).then_some(limits);
    };
    if let Some(field) = section.take("faults") {
        match reader.integer(&field) {
            Some(0) => reader.error(&field, "expected a number above 0, found 0"),
            Some(faults) => limits.faults = faults,
            None => {}
        }
    }
    let mut duration = |reader: &mut Reader<'_>, key, into: &mut Duration| {
        if let Some(given) = section.take(key).and_then(|field| reader.duration(&field)) {
            *into = given;
        }
    };
    duration(reader, "within", &mut limits.within);
    duration(reader, "open", &mut limits.open);
    section.finish_own(reader);
    Some(limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CallScope, Environment, UnknownKeys, parse};
    use std::{path::Path, sync::Arc};

    fn entry(keys: &str) -> CallbackEntry {
        let text = format!("litellm_settings: {{callbacks: [{{name: a{keys}}}]}}");
        let file = Arc::from(Path::new("config.yaml"));
        let config = parse(&file, &text, &Environment::default(), UnknownKeys::Refuse);
        config.expect("a config without problems").callbacks.remove(0)
    }

    #[test]
    fn without_a_word_a_callback_is_for_everything_and_fails_closed() {
        let entry = entry("");
        assert_eq!((entry.on_error, entry.mode), (OnError::Fail, Mode::Inline));
        assert_eq!(entry.streams, None);
        assert_eq!((entry.only, entry.hooks), (CallScope::default(), None));
        let limits = entry.breaker.expect("a breaker");
        assert_eq!((limits.faults, limits.within.as_secs(), limits.open.as_secs()), (5, 30, 10));
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        let all = entry(
            ", mode: blocking, timeout: 200ms, hooks: [on_llm_end], \
             only: {models: ['groq-*'], endpoints: [chat], keys: [k]}, \
             breaker: {faults: 3, open: 1m}",
        );
        assert_eq!((all.mode, all.timeout), (Mode::Blocking, Some(Duration::from_millis(200))));
        let list = |text: &str| vec![text.to_owned()];
        let only = CallScope {
            models: list("groq-*"),
            endpoints: list("chat"),
            keys: list("k"),
            ..CallScope::default()
        };
        assert_eq!(all.only, only);
        assert_eq!(all.hooks.map(|hooks| hooks[0].name.clone()), Some("on_llm_end".to_owned()));
        let (within, open) = (Duration::from_secs(30), Duration::from_secs(60));
        assert_eq!(all.breaker, Some(BreakerLimits { faults: 3, within, open }));
        for (canary, expected) in
            [("10%", Some((0, 1000))), ("0.5 %", Some((0, 50))), ("10%-100%", Some((1000, 10_000)))]
        {
            let found = entry(&format!(", canary: '{canary}'")).canary;
            assert_eq!(found.map(|it| (it.from, it.to)), expected, "{canary}");
        }
        for (streams, expected) in
            [("relayed", Some(Streams::Relayed)), ("buffered", Some(Streams::Buffered))]
        {
            assert_eq!(entry(&format!(", streams: {streams}")).streams, expected);
        }
        for (breaker, expected) in
            [("off", None), ("on", Some(BreakerLimits::default())), ("false", None)]
        {
            assert_eq!(entry(&format!(", breaker: {breaker}")).breaker, expected, "{breaker}");
        }
    }
}
