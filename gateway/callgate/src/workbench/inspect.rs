//! `plugin inspect`: everything about a file, nothing executed.

use super::{Finished, as_json, table::facts};
use crate::cli::Inspect;
use callgate_plugin_host::{Reason, Survey, SurveyedCallback};
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn run(options: &Inspect) -> Finished {
    let survey = Survey::of(&options.file);
    let text = if options.json { as_json(&survey) } else { told(&survey) };
    Finished::judged(text, survey.loadable)
}

fn told(survey: &Survey) -> String {
    let there = |text: String| (!text.is_empty()).then_some(text);
    let package = survey.package.as_ref().zip(survey.version.as_ref());
    let abi = survey.abi.as_ref().zip(survey.min_api.as_ref());
    let mut text = facts(&[
        ("file", Some(survey.file.display().to_string())),
        ("size", there(survey.sha256.clone()).map(|_| format!("{} bytes", survey.size))),
        ("sha256", there(survey.sha256.clone())),
        ("kind", survey.kind.clone()),
        ("machine", survey.machine.clone()),
        ("glibc", survey.glibc.as_ref().map(|version| format!("{version} or later"))),
        ("needs", there(survey.needs.join(" "))),
        ("package", package.map(|(name, version)| format!("{name} {version}"))),
        ("abi", abi.map(|(abi, min)| format!("{abi}, runs with {min} or later"))),
    ]);
    for callback in &survey.callbacks {
        let _ = write!(text, "\n{}", callback_told(callback));
    }
    text.push('\n');
    if let Some(note) = by_path_only(survey) {
        let _ = writeln!(text, "{note}");
    }
    for warning in &survey.warnings {
        let _ = writeln!(text, "warning: {}", sentence(warning));
    }
    if !survey.warnings.is_empty() {
        text.push_str(
            "a start refuses this with `callgate.verify_owner: strict`, the default for root\n",
        );
    }
    if survey.loadable {
        text.push_str("this gateway can load it\n");
    } else {
        text.push_str("this gateway cannot load it:\n");
        for reason in &survey.reasons {
            let _ = writeln!(text, "- {}", sentence(reason));
        }
    }
    text
}

fn callback_told(callback: &SurveyedCallback) -> String {
    let words = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
    facts(&[
        ("callback", Some(format!("{} ({})", callback.name, callback.kind))),
        ("hooks", words(&callback.hooks).or_else(|| Some("none".to_owned()))),
        ("reads", words(&callback.reads)),
        ("writes", words(&callback.writes)),
        ("secrets", words(&callback.needs_secrets)),
        ("hosts", words(&callback.needs_http_hosts)),
        ("settings", Some(settings_told(&callback.settings_schema))),
        ("sample", callback.sample_settings.as_ref().map(ToString::to_string)),
    ])
}

/// Which of its callbacks a config cannot find by their names alone.
fn by_path_only(survey: &Survey) -> Option<String> {
    let file = survey.file.file_name()?;
    let others = survey.callbacks.iter().map(|callback| &callback.name);
    let others = others.filter(|name| file != format!("lib{name}.so").as_str());
    let others: Vec<_> = others.map(|name| format!("`{name}`")).collect();
    (!others.is_empty()).then(|| {
        let names = others.join(", ");
        format!("to list with the file's `path`, for a name alone means `lib<name>.so`: {names}")
    })
}

/// The settings by name; `--json` has the schema itself.
fn settings_told(schema: &Value) -> String {
    let required = |name: &str| {
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|names| names.iter().any(|required| required == name))
    };
    let properties = schema.get("properties").and_then(Value::as_object);
    let told = properties.into_iter().flatten().map(|(name, property)| {
        let kind = property.get("type").and_then(Value::as_str).unwrap_or("any type");
        let must = if required(name) { ", required" } else { "" };
        format!("{name} ({kind}{must})")
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "none listed".to_owned() } else { told.join(", ") }
}

pub(super) fn sentence(reason: &Reason) -> String {
    format!("{}; {}", reason.text, reason.remedy)
}
