//! `plugin inspect`: all facts about a file, without executing it.

use super::finished::{Finished, as_json};
use crate::cli::Inspect;
use callgate_plugin_host::{CallbackInfo, PluginInfo, Reason};
use callgate_telemetry::columns::facts;
use serde_json::Value;
use std::fmt::Write as _;

pub(super) fn run(options: &Inspect) -> Finished {
    let info = PluginInfo::of(&options.file);
    let text = if options.json { as_json(&info) } else { as_text(&info) };
    Finished::judged(text, info.loadable)
}

fn as_text(info: &PluginInfo) -> String {
    let there = |text: String| (!text.is_empty()).then_some(text);
    let package = info.package.as_ref().zip(info.version.as_ref());
    let abi = info.abi.as_ref().zip(info.min_api.as_ref());
    let mut text = facts(&[
        ("file", Some(info.file.display().to_string())),
        ("size", there(info.sha256.clone()).map(|_| format!("{} bytes", info.size))),
        ("sha256", there(info.sha256.clone())),
        ("kind", info.kind.clone()),
        ("machine", info.machine.clone()),
        ("glibc", info.glibc.as_ref().map(|version| format!("{version} or later"))),
        ("needs", there(info.needs.join(" "))),
        ("package", package.map(|(name, version)| format!("{name} {version}"))),
        ("abi", abi.map(|(abi, min)| format!("{abi}, runs with {min} or later"))),
    ]);
    for callback in &info.callbacks {
        let _ = write!(text, "\n{}", callback_text(callback));
    }
    text.push('\n');
    if let Some(note) = by_path_only(info) {
        let _ = writeln!(text, "{note}");
    }
    for warning in &info.warnings {
        let _ = writeln!(text, "warning: {}", sentence(warning));
    }
    if !info.warnings.is_empty() {
        text.push_str(
            "a start refuses this with `callgate.verify_owner: strict`, the default for root\n",
        );
    }
    if info.loadable {
        text.push_str("this gateway can load it\n");
    } else {
        text.push_str("this gateway cannot load it:\n");
        for reason in &info.reasons {
            let _ = writeln!(text, "- {}", sentence(reason));
        }
    }
    text
}

fn callback_text(callback: &CallbackInfo) -> String {
    let words = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
    facts(&[
        ("callback", Some(format!("{} ({})", callback.name, callback.kind))),
        ("hooks", words(&callback.hooks).or_else(|| Some("none".to_owned()))),
        ("inputs of on_auth", words(&callback.auth_headers)),
        ("reads", words(&callback.reads)),
        ("writes", words(&callback.writes)),
        ("secrets", words(&callback.needs_secrets)),
        ("hosts", words(&callback.needs_http_hosts)),
        ("settings", Some(settings_text(&callback.settings_schema))),
        ("sample", callback.sample_settings.as_ref().map(ToString::to_string)),
    ])
}

/// The callbacks that a config can only find by the file's path.
fn by_path_only(info: &PluginInfo) -> Option<String> {
    let file = info.file.file_name()?;
    let others = info.callbacks.iter().map(|callback| &callback.name);
    let others = others.filter(|name| file != format!("lib{name}.so").as_str());
    let others: Vec<_> = others.map(|name| format!("`{name}`")).collect();
    (!others.is_empty()).then(|| {
        let names = others.join(", ");
        format!("to list with the file's `path`, for a name alone means `lib<name>.so`: {names}")
    })
}

/// The settings by name; `--json` has the whole schema.
fn settings_text(schema: &Value) -> String {
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
