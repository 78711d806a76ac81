//! A JSON Schema of the config, for editors: LiteLLM's keys from their table, this gateway's own
//! from the readers themselves, and the settings of plugins from their manifests. A start does not
//! use it: it knows more, and says what it means.

#[cfg(test)]
mod tests;

use super::{
    Environment, UnknownKeys,
    litellm_keys::{KeyGroup, KeySection, Standing},
    reader::{Field, Reader},
    sections, yaml,
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

/// The newest version that the usual editors know whole.
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// A config with every mapping that only this gateway has.
const OWN: &str = "\
callgate: {limits: {}, upstream: {}, cors: {}, keys: [{}]}
litellm_settings:
  callbacks: [{only: {}, except: {}, canary: {}, breaker: {}, record: {}, grants: {}}]
";

/// The keys of each mapping that only this gateway has, by its path.
type OwnKeys = BTreeMap<String, BTreeSet<&'static str>>;

/// The schema; `plugins` has the schema of each callback's settings, by its name.
#[must_use]
pub fn json_schema(plugins: &BTreeMap<String, Value>) -> Value {
    let own = own_keys();
    let mut top = members(KeySection::TopLevel);
    let entry = json!({"type": "object", "required": ["model_name", "litellm_params"]});
    let entry = with(entry, entry_members());
    top.insert("model_list".to_owned(), json!({"type": "array", "items": entry}));
    for (name, section) in [
        ("general_settings", KeySection::GeneralSettings),
        ("litellm_settings", KeySection::LitellmSettings),
        ("router_settings", KeySection::RouterSettings),
    ] {
        top.insert(name.to_owned(), closed(section));
    }
    top["litellm_settings"]["properties"]["callbacks"] = callbacks(&own, plugins);
    top.insert("callgate".to_owned(), own_mapping(&own, "callgate"));
    let settings: Map<String, Value> =
        plugins.keys().map(|name| (name.clone(), reference(name))).collect();
    top.insert("callback_settings".to_owned(), json!({"properties": settings}));
    let definitions: Map<String, Value> =
        plugins.iter().map(|(name, schema)| (name.clone(), moved(schema, name))).collect();
    json!({
        "$schema": DRAFT,
        "title": "Callgate's config",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
        "definitions": definitions,
    })
}

fn entry_members() -> Map<String, Value> {
    let mut entry = members(KeySection::Entry);
    for (name, section, required) in [
        ("litellm_params", KeySection::LitellmParams, json!(["model"])),
        ("model_info", KeySection::ModelInfo, json!([])),
    ] {
        let (names, patterns) = (members(section), patterns(section));
        let schema = json!({
            "type": "object",
            "required": required,
            "properties": names,
            "patternProperties": patterns,
        });
        entry.insert(name.to_owned(), schema);
    }
    entry
}

/// A section that has no other keys.
fn closed(section: KeySection) -> Value {
    let schema = json!({
        "type": "object", "patternProperties": patterns(section), "additionalProperties": false
    });
    with(schema, members(section))
}

fn with(mut schema: Value, members: Map<String, Value>) -> Value {
    schema["properties"] = Value::Object(members);
    schema["additionalProperties"] = json!(false);
    schema
}

/// The names of a section, each with what becomes of it.
fn members(section: KeySection) -> Map<String, Value> {
    let groups = section.groups().iter();
    let names = groups.flat_map(|group| group.names().map(|name| (name, group.standing)));
    let names = names.filter(|(name, _)| !name.contains('*'));
    names.map(|(name, standing)| (name.to_owned(), described(standing))).collect()
}

/// The names with `*`, as regular expressions.
fn patterns(section: KeySection) -> Map<String, Value> {
    let names = |group: &'static KeyGroup| group.names().map(|name| (name, group.standing));
    let names = section.groups().iter().flat_map(names).filter(|(name, _)| name.contains('*'));
    let pattern = |name: &str| {
        let (start, end) = (name.starts_with('*'), name.ends_with('*'));
        let anchor = |open: bool, anchor: &'static str| if open { "" } else { anchor };
        format!("{}{}{}", anchor(start, "^"), name.trim_matches('*'), anchor(end, "$"))
    };
    names.map(|(name, standing)| (pattern(name), described(standing))).collect()
}

fn described(standing: Standing) -> Value {
    let (what, reason) = (standing.to_string(), standing.reason());
    let text = if reason.is_empty() { what } else { format!("{what}: {reason}") };
    match standing {
        // Editors strike such a key out.
        Standing::Unsupported(_) | Standing::Protects { .. } => {
            json!({"description": text, "deprecationMessage": text})
        }
        _ => json!({"description": text}),
    }
}

/// `litellm_settings.callbacks`: names, and entries with more keys.
fn callbacks(own: &OwnKeys, plugins: &BTreeMap<String, Value>) -> Value {
    let mut entry = own_mapping(own, "litellm_settings.callbacks[]");
    entry["type"] = json!("object");
    let settings = plugins.keys().map(|name| {
        json!({
            "if": {"required": ["name"], "properties": {"name": {"const": name}}},
            "then": {"properties": {"settings": reference(name)}},
        })
    });
    entry["allOf"] = settings.collect();
    if plugins.is_empty() {
        entry.as_object_mut().map(|entry| entry.remove("allOf"));
    }
    let names: Vec<_> = plugins.keys().collect();
    let name = json!({"type": "string", "examples": names});
    json!({
        "description": "the callbacks, in the order in which they run",
        "anyOf": [name, {"type": "array", "items": {"anyOf": [name, entry]}}],
    })
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{}", name.replace('~', "~0").replace('/', "~1"))})
}

/// A plugin's schema below `definitions`: its references start at its own place.
fn moved(schema: &Value, name: &str) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                let value = match value.as_str().and_then(|text| text.strip_prefix('#')) {
                    Some(rest) if key == "$ref" => json!(format!("#/definitions/{name}{rest}")),
                    _ => moved(value, name),
                };
                (key.clone(), value)
            };
            // Of another version perhaps, and of no use below the top.
            let members = members.iter().filter(|(key, _)| *key != "$schema" && *key != "$id");
            Value::Object(members.map(member).collect())
        }
        Value::Array(items) => items.iter().map(|item| moved(item, name)).collect(),
        other => other.clone(),
    }
}

/// A mapping that only this gateway has. Another kind of value is left to the start to judge.
fn own_mapping(own: &OwnKeys, path: &str) -> Value {
    let member = |name: &&'static str| {
        let (value, items) = (format!("{path}.{name}"), format!("{path}.{name}[]"));
        let schema = if own.contains_key(&value) {
            own_mapping(own, &value)
        } else if own.contains_key(&items) {
            json!({"items": own_mapping(own, &items)})
        } else {
            json!({})
        };
        ((*name).to_owned(), schema)
    };
    let members: Map<String, Value> = own.get(path).into_iter().flatten().map(member).collect();
    json!({"properties": members, "additionalProperties": false})
}

/// Reads a config with all own mappings, empty, and sees which keys the readers ask for.
fn own_keys() -> OwnKeys {
    let file: Arc<Path> = Arc::from(Path::new("schema"));
    let environment = Environment::default();
    let mut reader = Reader::new(Arc::clone(&file), &environment, UnknownKeys::Warn);
    let root = yaml::parse(&file, OWN).ok().and_then(|document| document.root);
    if let Some(root) = root
        && let Some(section) = reader.section(&Field { node: &root, path: String::new() })
    {
        sections(&mut reader, section);
    }
    let mut own = OwnKeys::new();
    for (path, names) in reader.own {
        own.entry(path.replace("[0]", "[]")).or_default().extend(names);
    }
    own
}
