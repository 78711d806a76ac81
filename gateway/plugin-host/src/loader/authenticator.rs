//! An entry that says who may call must not be avoidable: these keys would let calls pass it.

use crate::{inspect::Inspected, plugin_problem::about};
use callgate_config::{CallScope, CallbackEntry, Mode, Problem};

const HOOK: &str = "on_auth";

/// An error for each key of an authenticator's entry that would let requests pass without it, and
/// for an entry that `general_settings.custom_auth` names although it has no `on_auth`.
pub(super) fn misused(entry: &CallbackEntry, inspected: &Inspected) -> Vec<Problem> {
    let is_chosen = entry.hooks.as_ref().is_none_or(|it| it.iter().any(|it| it.name == HOOK));
    let problem = |text: &str, remedy: &str| {
        let text = about(entry, Some(&inspected.file), text);
        Problem::error(entry.place.clone(), text).remedy(remedy)
    };
    if !is_chosen || !inspected.callback.hooks.iter().any(|it| it == HOOK) {
        let text = "`general_settings.custom_auth` names it, and it runs no `on_auth`";
        let remedy = "name a callback with this hook";
        return entry.is_custom_auth.then(|| problem(text, remedy)).into_iter().collect();
    }
    let keys = [
        ("mode: shadow", entry.mode == Mode::Shadow),
        ("only", entry.only != CallScope::default()),
        ("except", entry.except.is_some()),
        ("canary", entry.canary.is_some()),
        ("skippable_by", !entry.skippable_by.is_empty()),
        ("required: false", !entry.required),
    ];
    let misused = keys.into_iter().filter(|(_, is_set)| *is_set).map(|(key, _)| {
        let text = format!("it says who may call (`{HOOK}`), and `{key}` would let requests pass");
        problem(&text, &format!("remove `{key}`, or list the other hooks alone in `hooks`"))
    });
    misused.collect()
}
