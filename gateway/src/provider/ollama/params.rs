//! Which parameter goes where: Ollama's `options`, its top level, or nowhere.
//!
//! Layers are applied from the weakest (the deployment's defaults) to the strongest (the client's request), so a
//! later one wins whatever spelling it used; the tables that sort the names are in `params/tables`. Called by
//! `request`; messages are not looked at.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::TranslateError;
use super::json::{Members, Str, Text, elements, kind, push_list, push_string, set};
use crate::json::check_names;
use tables::{TOP_LEVEL, UNSUPPORTED, is_internal, same_value};

pub(super) mod tables;

/// The `tool_choice` that rules tools out.
const NONE: &str = r#""none""#;

/// Everything of a call but its messages, in Ollama's terms.
#[derive(Debug)]
pub(super) struct Params<'a> {
    upstream_model: &'a str,
    options: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    top_level: BTreeMap<&'static str, &'a str>,
    tools: Tools<'a>,
    tools_forbidden: bool,
    unsupported: BTreeSet<&'static str>,
    drop_unsupported: bool,
}

#[derive(Debug)]
enum Tools<'a> {
    None,
    Listed(&'a RawValue),
    /// Definitions from the legacy `functions`, which lack the wrapper of a tool.
    Functions(&'a RawValue),
}

impl<'a> Params<'a> {
    /// No parameters yet. `drop_unsupported` forgives what Ollama cannot do; a layer may also ask for that.
    pub(super) fn new(upstream_model: &'a str, drop_unsupported: bool) -> Self {
        Self {
            upstream_model,
            options: BTreeMap::new(),
            top_level: BTreeMap::new(),
            tools: Tools::None,
            tools_forbidden: false,
            unsupported: BTreeSet::new(),
            drop_unsupported,
        }
    }

    /// Adds a layer that overrides those before it. Within a layer the more specific spelling wins: an explicit
    /// parameter over `options`, Ollama's name over OpenAI's, `max_completion_tokens` over `max_tokens`.
    pub(super) fn apply(&mut self, layer: &'a Members<'a>) -> Result<(), TranslateError> {
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
        if let Some(effort) = value("reasoning_effort") {
            self.top_level.insert("think", self.think(effort)?);
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
            if set(Some(source)).is_some() && !is_internal(key) {
                self.apply_one(key, source)?;
            }
        }
        Ok(())
    }

    fn apply_one(&mut self, key: &'a str, source: &'a RawValue) -> Result<(), TranslateError> {
        if let Some(name) = TOP_LEVEL.iter().find(|name| **name == key) {
            self.top_level.insert(name, source.get());
            return Ok(());
        }
        match key {
            // Already applied, being weaker than what is applied here.
            "options"
            | "max_tokens"
            | "max_completion_tokens"
            | "reasoning_effort"
            | "response_format"
            | "functions" => {}
            // Ollama cannot be told which tool to use, only be given none.
            "tool_choice" => self.tools_forbidden = source.get() == NONE,
            "function_call" => {
                self.tools_forbidden = source.get() == NONE;
                self.apply_unsupported(key, source);
            }
            "tools" => {
                if kind(source) != "an array" {
                    return Err(wrong_type("tools", "an array", source));
                }
                self.tools = Tools::Listed(source);
            }
            // Ollama refuses a `stop` that is not a list.
            "stop" if Text::of(source).is_some() => {
                self.set_option(key, Cow::Owned(format!("[{}]", source.get())));
            }
            // `frequency_penalty` is among the rest: Ollama has an option of that name on OpenAI's scale, 0 being
            // neutral. Its `repeat_penalty` is another thing, a factor whose neutral value is 1.
            _ => {
                if !self.apply_unsupported(key, source) {
                    self.set_option(key, Cow::Borrowed(source.get()));
                }
            }
        }
        Ok(())
    }

    /// Notes a parameter Ollama cannot honour; `false` when `key` is no such parameter.
    fn apply_unsupported(&mut self, key: &str, source: &RawValue) -> bool {
        let Some(&(name, neutral)) = UNSUPPORTED.iter().find(|(name, _)| *name == key) else {
            return false;
        };
        if neutral.iter().any(|neutral| same_value(source.get(), neutral)) {
            self.unsupported.remove(name);
        } else {
            self.unsupported.insert(name);
        }
        true
    }

    fn apply_options(&mut self, source: &'a RawValue) -> Result<(), TranslateError> {
        if kind(source) == "an object" {
            check_names(source.get(), "options", |_| {})?;
        }
        let options: Members<'a> = serde_json::from_str(source.get())
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

    fn think(&self, effort: &'a RawValue) -> Result<&'a str, TranslateError> {
        if Text::of(effort).is_none() {
            return Err(wrong_type("reasoning_effort", "a string", effort));
        }
        // gpt-oss is the one family that takes a level; the others can only be switched on or off.
        if self.upstream_model.starts_with("gpt-oss") {
            return Ok(effort.get());
        }
        let thinks = matches!(effort.get(), r#""low""# | r#""medium""# | r#""high""#);
        Ok(if thinks { "true" } else { "false" })
    }

    /// Refuses the call when a parameter would have to be dropped that may not be.
    pub(super) fn check(&self) -> Result<(), TranslateError> {
        if self.unsupported.is_empty() || self.drop_unsupported {
            return Ok(());
        }
        Err(TranslateError::UnsupportedParams { names: self.unsupported.iter().copied().collect() })
    }

    /// Appends `,"options":{…}`, always, then the top-level members and tools that are set.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
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
            self.tools.write(out);
        }
    }
}

impl Tools<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Listed(tools) => {
                out.extend_from_slice(b",\"tools\":");
                out.extend_from_slice(tools.get().as_bytes());
            }
            Self::Functions(functions) => {
                out.extend_from_slice(b",\"tools\":[");
                push_list(out, elements(functions).into_iter().flatten(), |out, function| {
                    out.extend_from_slice(b"{\"type\":\"function\",\"function\":");
                    out.extend_from_slice(function.as_bytes());
                    out.push(b'}');
                });
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

fn wrong_type(param: &str, expected: &'static str, found: &RawValue) -> TranslateError {
    TranslateError::WrongType { param: param.to_owned(), expected, found: kind(found) }
}
