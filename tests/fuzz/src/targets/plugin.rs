//! Plugin files, and settings against the schemas in them.

use super::{Target, bounds::in_proportion};
use callgate_plugin_host::fuzzing as plugin;
use serde_json::Value;
use std::{fs, path::Path};

pub(super) const FILE: Target = Target {
    name: "plugin_file",
    check: file,
    tokens: FILE_TOKENS,
    largest: 1 << 20,
    more: frozen,
};

const FILE_TOKENS: &[&[u8]] = &[
    b"\x7fELF\x02\x01\x01",
    b".callgate.manifest\x00",
    b"callgate_plugin",
    b"GLIBC_2.34\x00",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x03\x00\x3e\x00",
    b"{\"api\":\"1.0\"",
    b"\"min_api\":\"9.9\"",
    b"\"settings_schema\":{}",
    b"{",
    b"}",
    b"[",
    b"\"hooks\":\"on_llm_start\"",
    b"\"name\":\"x\"",
];

/// The plugin that every version of the gateway has to load.
fn frozen() -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../abi/1.0/bin/libfrozen_1_0.so");
    fs::read(path).map(|bytes| ("libfrozen_1_0.so".to_owned(), bytes)).into_iter().collect()
}

pub(super) fn file(input: &[u8]) {
    match in_proportion(input.len(), 64, || plugin::inspect(input)) {
        Ok(names) => assert!(!names.is_empty(), "a plugin without callbacks"),
        Err(reasons) => {
            for reason in reasons {
                assert!(
                    reason.len() < 4096 + 8 * input.len(),
                    "a reason of {} bytes",
                    reason.len()
                );
            }
        }
    }
}

pub(super) const TOKENS: &[&[u8]] = &[
    b"\n",
    b"{\"type\":\"object\"}",
    b"\"properties\":{\"a\":{\"type\":\"string\"}}",
    b"\"additionalProperties\":false",
    b"\"required\":[\"a\"]",
    b"\"$ref\":\"#\"",
    b"\"$ref\":\"#/properties/a\"",
    b"\"allOf\":[",
    b"\"oneOf\":[",
    b"\"pattern\":\"^a+$\"",
    b"\"pattern\":\"(a+)+$\"",
    b"\"enum\":[1]",
    b"\"minimum\":1e308",
    b"\"format\":\"uri\"",
    b"\"items\":{}",
    b"\"const\":null",
    b"\"$id\":\"http://x/\"",
    b"\"if\":{}",
    b"\"not\":{}",
    b"\"multipleOf\":0",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\"c4nary\"",
    b"\"a\":1",
    b"\"minLength\":3",
    b"\"maxItems\":0",
    b"\"uniqueItems\":true",
    b"\"type\":[\"string\",\"null\"]",
    b"\"dependentRequired\":{\"a\":[\"b\"]}",
];

/// A value that must not be shown, because settings may hold secrets.
const CANARY: &str = "c4nary";

/// The input is a schema, then the settings, on a line each.
pub(super) fn settings(input: &[u8]) {
    let line = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (schema, settings) = (&input[..line], input.get(line + 1..).unwrap_or_default());
    let (Ok(schema), Ok(settings)) =
        (serde_json::from_slice::<Value>(schema), serde_json::from_slice::<Value>(settings))
    else {
        return;
    };
    let known = schema.to_string().contains(CANARY) || has_name(&settings, CANARY);
    let told = in_proportion(1024 + input.len(), 4096, || plugin::settings(&schema, settings));
    for (path, text) in told {
        let placed = path.is_empty() || path.starts_with("settings");
        assert!(placed, "told at `{path}`");
        assert!(known || !text.contains(CANARY), "shown: {text}");
    }
}

fn has_name(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(members) => {
            members.iter().any(|(key, value)| key.contains(name) || has_name(value, name))
        }
        Value::Array(elements) => elements.iter().any(|element| has_name(element, name)),
        _ => false,
    }
}
