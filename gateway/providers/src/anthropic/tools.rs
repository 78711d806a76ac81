//! Translates tools, the choice among them, and the format of the answer, which becomes a tool that
//! the model has to use: its input is the answer.

use super::{
    content::{end, push_member, push_raw},
    error::RequestError,
    read::{member, object, required, text},
};
use crate::json_text::{JsonMembers, Piece, Text, elements, kind};
use serde_json::value::RawValue;

/// The tool whose input is an answer in JSON. `reply` and `stream` turn its calls into text.
pub(super) const ANSWER: &str = "json_tool_call";

/// The schema of a tool without parameters.
const NO_PARAMETERS: &[u8] = b"{\"type\":\"object\",\"properties\":{}}";

/// Any JSON object.
const ANY_OBJECT: &[u8] = b"{\"type\":\"object\",\"additionalProperties\":true}";

/// The members of a request that are about tools.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ToolParams<'a> {
    pub(super) tools: Option<&'a RawValue>,
    pub(super) functions: Option<&'a RawValue>,
    pub(super) tool_choice: Option<&'a RawValue>,
    pub(super) function_call: Option<&'a RawValue>,
    pub(super) parallel_tool_calls: Option<&'a RawValue>,
    pub(super) response_format: Option<&'a RawValue>,
    /// Whether the model thinks: then it cannot be made to use a tool.
    pub(super) thinks: bool,
}

impl ToolParams<'_> {
    /// Appends `tools` and `tool_choice`, each after a comma.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), RequestError> {
        let start = out.len();
        out.extend_from_slice(b",\"tools\":[");
        let empty = out.len();
        if let Some(tools) = self.tools {
            write_tools(out, tools)?;
        } else if let Some(functions) = self.functions {
            write_functions(out, functions)?;
        }
        let has_own = out.len() > empty;
        let is_answer = self.write_answer_tool(out)?;
        if out.len() == empty {
            out.truncate(start);
            return Ok(());
        }
        out.push(b']');
        let choice = self.tool_choice.or(self.function_call);
        // With tools of its own, the model may use those first.
        match choice {
            None if is_answer && !has_own && !self.thinks => {
                out.extend_from_slice(b",\"tool_choice\":{\"type\":\"tool\"");
                push_member(out, "name", &Piece::of(ANSWER.to_owned()));
                out.push(b'}');
            }
            choice => self.write_choice(out, choice)?,
        }
        Ok(())
    }

    /// Appends the tool of the answer; returns whether there is one.
    fn write_answer_tool(&self, out: &mut Vec<u8>) -> Result<bool, RequestError> {
        let Some(format) = self.response_format else { return Ok(false) };
        let path = || "response_format".to_owned();
        let format = object(format.get(), path, "an object with a `type`")?;
        let kind = required(&format, "type", || "response_format.type".to_owned())?;
        let wrapper;
        let schema = match kind.escaped() {
            "text" => return Ok(false),
            "json_object" => None,
            "json_schema" => {
                let path = || "response_format.json_schema".to_owned();
                let inner = member(&format, "json_schema")
                    .ok_or_else(|| RequestError::Missing { param: path() })?;
                wrapper = object(inner.get(), path, "an object with a `schema`")?;
                let schema = member(&wrapper, "schema");
                Some(schema.ok_or_else(|| RequestError::Missing {
                    param: "response_format.json_schema.schema".to_owned(),
                })?)
            }
            _ => {
                return Err(RequestError::NotTaken {
                    param: "response_format.type".to_owned(),
                    remedy: "send `text`, `json_object` or `json_schema`",
                });
            }
        };
        comma(out);
        out.extend_from_slice(b"{\"name\":\"");
        out.extend_from_slice(ANSWER.as_bytes());
        out.extend_from_slice(b"\",\"description\":\"Gives the answer.\"");
        push_raw(out, "input_schema", schema.map_or(ANY_OBJECT, |it| it.get().as_bytes()));
        out.push(b'}');
        Ok(true)
    }

    fn write_choice(
        &self,
        out: &mut Vec<u8>,
        choice: Option<&RawValue>,
    ) -> Result<(), RequestError> {
        let one_at_a_time = self.parallel_tool_calls.is_some_and(|it| it.get() == "false");
        let kind = match choice {
            None if !one_at_a_time => return Ok(()),
            None => "auto",
            Some(choice) => match Text::of(choice).map(Text::escaped) {
                Some("auto") => "auto",
                Some("none") => "none",
                Some("required" | "any") => "any",
                Some(_) => return Err(unknown_choice()),
                None => "tool",
            },
        };
        out.extend_from_slice(b",\"tool_choice\":{\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        if let Some(choice) = choice.filter(|_| kind == "tool") {
            push_member(out, "name", &Piece::Source(chosen(choice)?));
        }
        if one_at_a_time && kind != "none" {
            out.extend_from_slice(b",\"disable_parallel_tool_use\":true");
        }
        out.push(b'}');
        Ok(())
    }
}

fn unknown_choice() -> RequestError {
    RequestError::NotTaken {
        param: "tool_choice".to_owned(),
        remedy: "send `auto`, `none`, `required` or the name of a function",
    }
}

/// The name of the function that the model has to call.
fn chosen(choice: &RawValue) -> Result<Text<'_>, RequestError> {
    let path = || "tool_choice".to_owned();
    let choice = object(choice.get(), path, "a string or an object with a function's name")?;
    let name = match member(&choice, "function") {
        Some(function) => {
            let path = || "tool_choice.function".to_owned();
            let function = object(function.get(), path, "an object with a `name`")?;
            required(&function, "name", || "tool_choice.function.name".to_owned())?
        }
        // A legacy `function_call`, or a choice of Anthropic's own.
        None => text(&choice, "name", path)?.ok_or_else(unknown_choice)?,
    };
    Ok(name)
}

fn write_tools(out: &mut Vec<u8>, tools: &RawValue) -> Result<(), RequestError> {
    for (at, json) in list(tools, "tools")?.enumerate() {
        let path = || format!("tools[{at}]");
        let tool = object(json, path, "an object with a `type`")?;
        comma(out);
        match member(&tool, "function") {
            Some(function) => {
                let path = || format!("tools[{at}].function");
                let function = object(function.get(), path, "an object with a `name`")?;
                let mark = member(&tool, "cache_control");
                let mark = mark.or_else(|| member(&function, "cache_control"));
                write_function(out, &function, mark, &path)?;
            }
            // A tool of Anthropic's own, such as `web_search_20250305`.
            None => out.extend_from_slice(json.as_bytes()),
        }
    }
    Ok(())
}

fn write_functions(out: &mut Vec<u8>, functions: &RawValue) -> Result<(), RequestError> {
    for (at, json) in list(functions, "functions")?.enumerate() {
        let path = || format!("functions[{at}]");
        let function = object(json, path, "an object with a `name`")?;
        comma(out);
        write_function(out, &function, None, &path)?;
    }
    Ok(())
}

fn list<'a>(
    value: &'a RawValue,
    name: &str,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, RequestError> {
    elements(value).ok_or_else(|| RequestError::WrongType {
        param: name.to_owned(),
        expected: "an array",
        found: kind(value),
    })
}

fn write_function(
    out: &mut Vec<u8>,
    function: &JsonMembers<'_>,
    mark: Option<&RawValue>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let name = required(function, "name", || format!("{}.name", path()))?;
    let description = text(function, "description", || format!("{}.description", path()))?;
    out.extend_from_slice(b"{\"name\":");
    Piece::Source(name).write(out);
    if let Some(description) = description {
        push_member(out, "description", &Piece::Source(description));
    }
    let schema = match member(function, "parameters") {
        None => NO_PARAMETERS,
        Some(schema) => {
            let path = || format!("{}.parameters", path());
            let members = object(schema.get(), path, "a JSON Schema")?;
            match member(&members, "type") {
                Some(_) => schema.get().as_bytes(),
                // Anthropic wants the type; a schema without members says no more.
                None if members.is_empty() => NO_PARAMETERS,
                None => {
                    out.extend_from_slice(b",\"input_schema\":{\"type\":\"object\",");
                    out.extend_from_slice(&schema.get().as_bytes()[1..]);
                    end(out, mark);
                    return Ok(());
                }
            }
        }
    };
    push_raw(out, "input_schema", schema);
    end(out, mark);
    Ok(())
}

fn comma(out: &mut Vec<u8>) {
    if out.last() == Some(&b'}') {
        out.push(b',');
    }
}
