//! Decides where each parameter goes: to Ollama's `options`, to its top level, or nowhere.
//!
//! Layers are applied from the weakest (the deployment's defaults) to the strongest (the client's
//! request), so a later one wins whatever spelling it used. `params/tables` has the rule for each
//! name. Called by `request`; messages are not read here.

use super::{
    error::TranslateError,
    json::{JsonMembers, Str, Text, elements, kind, push_list, push_string, set},
};
use crate::{ParamRules, gateway_members::is_own};
use callgate_json::{check_names, walk};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};
use tables::{ParamRule, same_value};

pub(super) mod tables;

/// The `tool_choice` that forbids tools.
const NONE: &str = r#""none""#;

/// The name in messages for a tool that is not a function.
const FOREIGN_TOOL: &str = "tools[].type";

/// The most names in one error.
const NAMED: usize = 16;

/// Whether it is one of Ollama's `options`.
pub(super) fn is_runtime_option(name: &str) -> bool {
    tables::verdict(name) == Some(ParamRule::Runtime)
}

/// All parameters of a call, in Ollama's format, without its messages.
#[derive(Debug)]
pub(super) struct Params<'a> {
    options: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    top_level: BTreeMap<&'static str, &'a str>,
    tools: Tools<'a>,
    tools_forbidden: bool,
    unsupported: BTreeSet<Cow<'a, str>>,
    drop_unsupported: bool,
    allowed: &'a [String],
}

#[derive(Debug)]
enum Tools<'a> {
    None,
    Listed(&'a RawValue),
    /// Definitions from the legacy `functions`, which lack a tool's wrapper.
    Functions(&'a RawValue),
}

impl<'a> Params<'a> {
    /// No parameters yet. If the rules do not drop unsupported ones, a layer may ask for it.
    pub(super) fn new(rules: &'a ParamRules) -> Self {
        Self {
            options: BTreeMap::new(),
            top_level: BTreeMap::new(),
            tools: Tools::None,
            tools_forbidden: false,
            unsupported: BTreeSet::new(),
            drop_unsupported: rules.drop_unsupported,
            allowed: &rules.allowed,
        }
    }

    /// Adds a layer that overrides earlier ones. Within a layer the more specific spelling wins: an
    /// explicit parameter over `options`, Ollama's name over OpenAI's, `max_completion_tokens` over
    /// `max_tokens`.
    pub(super) fn apply(&mut self, layer: &'a JsonMembers<'a>) -> Result<(), TranslateError> {
        let value = |key| layer.get(key).copied().and_then(|value| set(Some(value)));
        self.drop_unsupported |= value("drop_params").is_some_and(|value| value.get() == "true");
        if let Some(options) = value("options") {
            self.apply_options(options)?;
        }
        for key in ["max_tokens", "max_completion_tokens"] {
            if let Some(limit) = value(key) {
                self.set_option("num_predict", Cow::Borrowed(limit.get()));
            }
        }
        if let Some(reasoning) = value("reasoning") {
            self.apply_reasoning(reasoning)?;
        }
        if let Some(effort) = value("reasoning_effort") {
            self.top_level.insert("think", think("reasoning_effort", effort)?);
        }
        if let Some(format) = value("response_format") {
            self.apply_response_format(format)?;
        }
        if let Some(functions) = value("functions") {
            if kind(functions) != "an array" {
                return Err(wrong_type("functions", "an array", functions));
            }
            self.tools = Tools::Functions(functions);
        }
        for (Str(key), source) in layer {
            if set(Some(source)).is_some() {
                self.apply_one(key, source)?;
            }
        }
        Ok(())
    }

    fn apply_one(&mut self, key: &'a str, source: &'a RawValue) -> Result<(), TranslateError> {
        match tables::verdict(key) {
            Some(ParamRule::Call | ParamRule::Indifferent) => {}
            Some(ParamRule::Member) => {
                self.top_level.insert(tables::name(key), source.get());
            }
            // Ollama rejects a `stop` that is not a list.
            Some(ParamRule::Runtime) if key == "stop" && Text::of(source).is_some() => {
                self.set_option(key, Cow::Owned(format!("[{}]", source.get())));
            }
            // `frequency_penalty` is on OpenAI's scale, where 0 is neutral. Ollama's
            // `repeat_penalty` is different: a factor whose neutral value is 1.
            Some(ParamRule::Runtime) => self.set_option(key, Cow::Borrowed(source.get())),
            Some(ParamRule::Translated) => self.apply_translated(key, source)?,
            // LiteLLM sends it the same way.
            Some(ParamRule::Unsupported(_)) | None
                if !is_own(key) && self.allowed.iter().any(|allowed| allowed == key) =>
            {
                self.set_option(key, Cow::Borrowed(source.get()));
            }
            Some(ParamRule::Unsupported(neutral)) => {
                let changes_nothing = neutral.iter().any(|it| same_value(source.get(), it));
                self.note_unsupported(key, !changes_nothing);
            }
            None if is_own(key) => {}
            None => self.note_unsupported(key, true),
        }
        Ok(())
    }

    /// Applies the members whose order does not matter; `apply` has read the others before.
    fn apply_translated(
        &mut self,
        key: &'a str,
        source: &'a RawValue,
    ) -> Result<(), TranslateError> {
        match key {
            // Ollama cannot be made to use a certain tool; it can only get no tools.
            "tool_choice" | "function_call" => {
                self.tools_forbidden = same_value(source.get(), NONE);
                self.note_unsupported(key, !tables::is_honoured_choice(source.get()));
            }
            "tools" => {
                let tools = elements(source);
                let mut tools = tools.ok_or_else(|| wrong_type("tools", "an array", source))?;
                self.note_unsupported(FOREIGN_TOOL, tools.any(is_foreign));
                self.tools = Tools::Listed(source);
            }
            _ => {}
        }
        Ok(())
    }

    /// A later layer may set the same parameter to a supported value.
    fn note_unsupported(&mut self, key: &'a str, unsupported: bool) {
        if !unsupported {
            self.unsupported.remove(key);
        } else if self.unsupported.len() < NAMED {
            self.unsupported.insert(Cow::Borrowed(key));
        }
    }

    fn apply_reasoning(&mut self, source: &'a RawValue) -> Result<(), TranslateError> {
        if kind(source) == "an object" {
            check_names(source.get(), "reasoning", |_| {})?;
        }
        let reasoning: JsonMembers<'a> = serde_json::from_str(source.get())
            .map_err(|_| wrong_type("reasoning", "an object", source))?;
        if let Some(effort) = set(reasoning.get("effort").copied()) {
            self.top_level.insert("think", think("reasoning.effort", effort)?);
        }
        Ok(())
    }

    fn apply_options(&mut self, source: &'a RawValue) -> Result<(), TranslateError> {
        if kind(source) == "an object" {
            check_names(source.get(), "options", |_| {})?;
        }
        let options: JsonMembers<'a> = serde_json::from_str(source.get())
            .map_err(|_| wrong_type("options", "an object", source))?;
        for (Str(key), value) in options {
            if set(Some(value)).is_some() {
                self.options.insert(key, Cow::Borrowed(value.get()));
            }
        }
        Ok(())
    }

    fn apply_response_format(&mut self, source: &'a RawValue) -> Result<(), TranslateError> {
        let wrong = || wrong_type("response_format", "an object with a `type`", source);
        let format: ResponseFormat<'a> = serde_json::from_str(source.get()).map_err(|_| wrong())?;
        match &*format.kind.0 {
            "text" => {
                self.top_level.remove("format");
            }
            "json_object" => {
                self.top_level.insert("format", r#""json""#);
            }
            "json_schema" => {
                let schema = format.json_schema.and_then(|wrapper| set(wrapper.schema));
                let param = || "response_format.json_schema.schema".to_owned();
                let schema = schema.ok_or_else(|| TranslateError::Missing { param: param() })?;
                self.top_level.insert("format", schema.get());
            }
            _ => {
                return Err(TranslateError::WrongType {
                    param: "response_format.type".to_owned(),
                    expected: "`text`, `json_object` or `json_schema`",
                    found: "another type",
                });
            }
        }
        Ok(())
    }

    fn set_option(&mut self, key: &'a str, value: Cow<'a, str>) {
        self.options.insert(Cow::Borrowed(key), value);
    }

    /// Drops the unsupported parameters of the layers so far. They are the operator's, who was
    /// warned at startup.
    pub(super) fn forgive(&mut self) {
        self.unsupported.clear();
    }

    /// The names of unsupported parameters.
    pub(super) fn unsupported(&self) -> impl Iterator<Item = &str> {
        self.unsupported.iter().map(|name| &**name)
    }

    /// Refuses the call if an unsupported parameter may not be dropped.
    pub(super) fn check(&self) -> Result<(), TranslateError> {
        if self.unsupported.is_empty() || self.drop_unsupported {
            return Ok(());
        }
        Err(TranslateError::UnsupportedParams { names: self.unsupported().map(shown).collect() })
    }

    /// Appends `,"options":{…}`, always, then the top-level members and tools that are set. Stops
    /// if the body becomes longer than `longest`.
    pub(super) fn write(&self, out: &mut Vec<u8>, longest: usize) {
        out.extend_from_slice(b",\"options\":{");
        push_list(out, &self.options, |out, (key, value)| {
            push_string(out, key);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        });
        out.push(b'}');
        for (name, value) in &self.top_level {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.as_bytes());
        }
        if !self.tools_forbidden {
            self.tools.write(out, longest);
        }
    }
}

impl Tools<'_> {
    fn write(&self, out: &mut Vec<u8>, longest: usize) {
        match self {
            Self::None => {}
            Self::Listed(tools) if elements(tools).into_iter().flatten().any(is_foreign) => {
                out.extend_from_slice(b",\"tools\":[");
                let own = elements(tools).into_iter().flatten().filter(|tool| !is_foreign(tool));
                push_list(out, own, |out, tool| out.extend_from_slice(tool.as_bytes()));
                out.push(b']');
            }
            Self::Listed(tools) => {
                out.extend_from_slice(b",\"tools\":");
                out.extend_from_slice(tools.get().as_bytes());
            }
            Self::Functions(functions) => {
                out.extend_from_slice(b",\"tools\":[");
                for (at, function) in elements(functions).into_iter().flatten().enumerate() {
                    if out.len() > longest {
                        return;
                    }
                    let before: &[u8] = if at > 0 { b"," } else { b"" };
                    out.extend_from_slice(before);
                    out.extend_from_slice(b"{\"type\":\"function\",\"function\":");
                    out.extend_from_slice(function.as_bytes());
                    out.push(b'}');
                }
                out.push(b']');
            }
        }
    }
}

#[derive(Debug, Deserialize)]
struct ResponseFormat<'a> {
    #[serde(borrow, rename = "type")]
    kind: Str<'a>,
    #[serde(borrow)]
    json_schema: Option<JsonSchema<'a>>,
}

#[derive(Debug, Deserialize)]
struct JsonSchema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

/// Whether a tool has another type than `function`, the only one Ollama supports.
fn is_foreign(tool: &str) -> bool {
    let kind = walk::value(tool, "type").filter(|kind| *kind != "null");
    kind.is_some_and(|kind| walk::decoded(kind) != "function")
}

/// The `think` value for a reasoning effort, by Ollama's own rule for OpenAI's clients. Unknown
/// values are left to Ollama, which knows the model: a model without levels treats every value
/// except `none` as "on".
/// except `none` as on.
fn think<'a>(param: &str, effort: &'a RawValue) -> Result<&'a str, TranslateError> {
    let text = Text::of(effort).ok_or_else(|| wrong_type(param, "a string", effort))?;
    Ok(match text.decode().as_deref() {
        Ok("none") => "false",
        Ok("minimal") => r#""low""#,
        Ok("xhigh") => r#""max""#,
        _ => effort.get(),
    })
}

/// A name as messages show it.
fn shown(name: &str) -> String {
    const LONGEST: usize = 64;
    name.char_indices().nth(LONGEST).map_or(name, |(end, _)| &name[..end]).to_owned()
}

fn wrong_type(param: &str, expected: &'static str, found: &RawValue) -> TranslateError {
    TranslateError::WrongType { param: param.to_owned(), expected, found: kind(found) }
}
