//! Translates tools and the choice among them.

use super::{Json, RequestError, RequestMembers, Unsupported, list, member, object, required};
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
        let tool = object(json, path, "an object with a `type`")?;
        let kind = required(&tool, "type", || format!("{}.type", path()))?;
        if kind.escaped() != "function" {
            // A tool that OpenAI runs, or that its models are trained for.
            unsupported.note(path());
            continue;
        }
        if out.len() > empty {
            out.push(b',');
        }
        write_function(out, &tool, &path)?;
    }
    if out.len() == empty {
        out.truncate(start);
        return Ok(false);
    }
    out.push(b']');
    Ok(true)
}

fn write_function(
    out: &mut Vec<u8>,
    tool: &RequestMembers<'_>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
    Piece::Source(required(tool, "name", || format!("{}.name", path()))?).write(out);
    for name in ["description", "parameters", "strict"] {
        if let Some(value) = member(tool, name) {
            out.extend_from_slice(b",\"");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.get().as_bytes());
        }
    }
    out.extend_from_slice(b"}}");
    Ok(())
}

/// Appends `tool_choice`.
pub(super) fn write_choice(
    out: &mut Vec<u8>,
    choice: Option<Json<'_>>,
    unsupported: &mut Unsupported,
) -> Result<(), RequestError> {
    let Some(choice) = choice else { return Ok(()) };
    if choice.text().is_some() {
        out.extend_from_slice(b",\"tool_choice\":");
        out.extend_from_slice(choice.get().as_bytes());
        return Ok(());
    }
    let path = || "tool_choice".to_owned();
    let choice = object(choice.get(), path, "a string or an object with a `type`")?;
    let kind = required(&choice, "type", || "tool_choice.type".to_owned())?;
    if kind.escaped() != "function" {
        unsupported.note("tool_choice");
        return Ok(());
    }
    out.extend_from_slice(b",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":");
    Piece::Source(required(&choice, "name", || "tool_choice.name".to_owned())?).write(out);
    out.extend_from_slice(b"}}");
    Ok(())
}
