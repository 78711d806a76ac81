//! Selects the callbacks of a file, and their settings, for a tool.

use crate::cli::Selection;
use callgate_config::{CallbackEntry, Config, Environment, UnknownKeys, parse, read_text};
use callgate_deployments::Deployments;
use callgate_plugin_host::{PluginInfo, SearchPath, inspect_all};
use serde_json::{Value, json};
use std::{path::Path, sync::Arc};

/// The settings from the command line: JSON, or `@` and a file with JSON.
pub(super) fn settings(given: Option<&str>) -> Result<Option<Value>, String> {
    let Some(given) = given else { return Ok(None) };
    let text = match given.strip_prefix('@') {
        None => given.to_owned(),
        Some(file) => read_text(Path::new(file))
            .map_err(|error| format!("`--settings`: `{file}` cannot be read: {error}"))?,
    };
    // The parser's error repeats no value.
    match serde_json::from_str(&text) {
        Ok(settings @ Value::Object(_)) => Ok(Some(settings)),
        Ok(_) => Err("`--settings`: expected a JSON object, found another value".to_owned()),
        Err(error) => Err(format!("`--settings`: expected JSON or `@FILE`: {error}")),
    }
}

/// The named callback, otherwise all. Settings apply to one callback only.
pub(super) fn entries(
    info: &PluginInfo,
    selection: &Selection,
) -> Result<Vec<CallbackEntry>, String> {
    let given = settings(selection.settings.as_deref())?;
    let names = || info.callbacks.iter().map(|callback| callback.name.as_str());
    let listed = || names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = &selection.callback
        && info.loadable
        && !names().any(|name| name == wanted)
    {
        return Err(format!("`--callback`: expected one of {}, found `{wanted}`", listed()));
    }
    let meant = |name: &str| selection.callback.as_ref().is_none_or(|wanted| wanted == name);
    let meant: Vec<_> = info.callbacks.iter().filter(|callback| meant(&callback.name)).collect();
    if given.is_some() && meant.len() > 1 {
        return Err(format!("the file exports {}; say which with `--callback`", listed()));
    }
    let entry = |callback: &&callgate_plugin_host::CallbackInfo| {
        let (settings, source) = match (&given, &callback.sample_settings) {
            (Some(given), _) => (given.clone(), "--settings"),
            (None, Some(sample)) => (sample.clone(), "sample_settings"),
            (None, None) => (json!({}), "without --settings"),
        };
        CallbackEntry::of_file(&callback.name, &info.file, settings, source)
    };
    Ok(meant.iter().map(entry).collect())
}

/// As [`entries`], for a tool that needs exactly one.
pub(super) fn entry(info: &PluginInfo, selection: &Selection) -> Result<CallbackEntry, String> {
    let mut entries = entries(info, selection)?;
    if entries.len() > 1 {
        let names: Vec<_> = entries.iter().map(|entry| format!("`{}`", entry.name)).collect();
        let names = names.join(", ");
        return Err(format!("the file exports {names}; say which with `--callback`"));
    }
    entries.pop().ok_or_else(|| "the file exports no callback".to_owned())
}

/// Reads a config for its callbacks: only problems of the callbacks are reported.
pub(super) fn config_of(
    path: &Path,
    env_file: Option<&Path>,
) -> Result<(Config, Vec<String>), Vec<String>> {
    let environment =
        Environment::load(path, env_file).map_err(|problem| vec![problem.to_string()])?;
    let config = callgate_config::load(path, &environment, UnknownKeys::Warn)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let about_callbacks = |path: &str| {
        path.starts_with("litellm_settings.callbacks") || path.starts_with("callback_settings")
    };
    let errors = config.problems.iter().filter(|problem| problem.is_error());
    let errors = errors.filter(|problem| about_callbacks(&problem.place.path));
    let errors = errors.map(ToString::to_string).collect();
    Ok((config, errors))
}

/// The schema's complaints about an entry's settings.
pub(super) fn complaints(entry: &CallbackEntry) -> Vec<String> {
    let problems = inspect_all(std::slice::from_ref(entry), &SearchPath::default());
    let errors = problems.into_iter().filter(callgate_config::Problem::is_error);
    errors.map(|problem| problem.to_string()).collect()
}

/// Deployments in place of a config's: this one model name, and every provider.
pub(super) fn deployments() -> Deployments {
    let text =
        "model_list: [{model_name: callgate-example, litellm_params: {model: openai/example}}]";
    let file = Arc::from(Path::new("built-in"));
    let config = parse(&file, text, &Environment::default(), UnknownKeys::Warn);
    let built = config.ok().and_then(|config| Deployments::from_config(&config).ok());
    built.map(|(deployments, _)| deployments).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_an_object() {
        assert_eq!(settings(None), Ok(None));
        assert_eq!(settings(Some("{\"a\": 1}")), Ok(Some(json!({"a": 1}))));
        for bad in ["", "[]", "7", "{", "@/nowhere/at/all"] {
            assert!(settings(Some(bad)).unwrap_err().starts_with("`--settings`: "), "{bad}");
        }
    }

    #[test]
    fn without_a_config_every_provider_is_known() {
        let deployments = deployments();
        assert!(deployments.resolve("anything").is_none());
        assert!(deployments.for_provider("groq").is_some());
    }
}
