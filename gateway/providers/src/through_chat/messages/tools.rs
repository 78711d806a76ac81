//! Translates tools and the choice among them.

use super::{
    Json, RequestError, RequestMembers, Unsupported, is_true, list, member, object, required, text,
};
use crate::json_text::Piece;

/// Appends `tools`; returns whether there are any.
pub(super) fn write_tools(
    out: &mut Vec<u8>,
    tools: Option<Json<'_>>,
    unsupported: &mut Unsupported,
) -> Result<bool, RequestError> {
    let Some(tools) = tools else { return Ok(false) };
    let start = out.len();
    out.extend_from_slice(b",\"tools\":[");
    let empty = out.len();
    for (at, json) in list(tools, &|| "tools".to_owned(), "an array of tools")?.enumerate() {
        let path = || format!("tools[{at}]");
        let tool = object(json, path, "an object with `name` and `input_schema`")?;
        let kind = text(&tool, "type", || format!("{}.type", path()))?;
        if kind.is_some_and(|kind| !matches!(kind.escaped(), "custom" | "function")) {
            // A tool that Anthropic runs, or that its models are trained for.
            unsupported.note(path());
            continue;
        }
        if out.len() > empty {
            out.push(b',');
        }
        write_tool(out, &tool, &path)?;
    }
    if out.len() == empty {
        out.truncate(start);
        return Ok(false);
    }
    out.push(b']');
    Ok(true)
}

fn write_tool(
    out: &mut Vec<u8>,
    tool: &RequestMembers<'_>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let name = required(tool, "name", || format!("{}.name", path()))?;
    let description = text(tool, "description", || format!("{}.description", path()))?;
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    Piece::Source(name).write(out);
    if let Some(description) = description {
        out.extend_from_slice(b",\"description\":");
        Piece::Source(description).write(out);
    }
    if let Some(schema) = member(tool, "input_schema") {
        out.extend_from_slice(b",\"parameters\":");
        out.extend_from_slice(schema.get().as_bytes());
    }
    if is_true(tool, "strict") {
        out.extend_from_slice(b",\"strict\":true");
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Appends `tool_choice` and `parallel_tool_calls`.
pub(super) fn write_choice(
    out: &mut Vec<u8>,
    choice: Option<Json<'_>>,
) -> Result<(), RequestError> {
    let Some(choice) = choice else { return Ok(()) };
    let path = || "tool_choice".to_owned();
    let choice = object(choice.get(), path, "an object with a `type`")?;
    let kind = required(&choice, "type", || "tool_choice.type".to_owned())?;
    out.extend_from_slice(b",\"tool_choice\":");
    match kind.escaped() {
        "auto" => out.extend_from_slice(b"\"auto\""),
        "any" => out.extend_from_slice(b"\"required\""),
        "none" => out.extend_from_slice(b"\"none\""),
        "tool" => {
            let name = required(&choice, "name", || "tool_choice.name".to_owned())?;
            out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
            Piece::Source(name).write(out);
            out.extend_from_slice(b"}}");
        }
        _ => {
            let param = "tool_choice.type".to_owned();
            let remedy = "send `auto`, `any`, `tool` or `none`";
            return Err(RequestError::NotTaken { param, remedy });
        }
    }
    if is_true(&choice, "disable_parallel_tool_use") {
        out.extend_from_slice(b",\"parallel_tool_calls\":false");
    }
    Ok(())
}
