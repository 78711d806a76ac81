//! Translates the parts of an item's content.

use super::{
    Json, RequestError, RequestMembers, Unsupported, list, member, object, required, text,
};
use crate::json_text::Piece;

const EXPECTED: &str = "a string or an array of parts";

/// Appends the texts of a string or of parts, escaped and without quotes.
pub(super) fn write_texts(
    out: &mut Vec<u8>,
    content: Json<'_>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    if let Some(text) = content.text() {
        out.extend_from_slice(text.escaped().as_bytes());
        return Ok(());
    }
    for (at, json) in list(content, path, EXPECTED)?.enumerate() {
        let path = || format!("{}[{at}]", path());
        let part = object(json, path, "an object with a `type`")?;
        let name = if part.has("refusal") { "refusal" } else { "text" };
        match text(&part, name, || format!("{}.{name}", path()))? {
            Some(text) => out.extend_from_slice(text.escaped().as_bytes()),
            None => {
                let remedy = "here it takes texts only";
                return Err(RequestError::NotTaken { param: path(), remedy });
            }
        }
    }
    Ok(())
}

/// Appends the value of a message's `content`.
pub(super) fn write_parts(
    out: &mut Vec<u8>,
    content: Json<'_>,
    unsupported: &mut Unsupported,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    if let Some(text) = content.text() {
        Piece::Source(text).write(out);
        return Ok(());
    }
    out.push(b'[');
    let empty = out.len();
    for (at, json) in list(content, path, EXPECTED)?.enumerate() {
        let path = || format!("{}[{at}]", path());
        let part = object(json, path, "an object with a `type`")?;
        let before = out.len();
        if before > empty {
            out.push(b',');
        }
        if !write_part(out, &part, unsupported, &path)? {
            out.truncate(before);
        }
    }
    out.push(b']');
    Ok(())
}

/// Appends a part; `false` if a chat has none of its kind.
fn write_part(
    out: &mut Vec<u8>,
    part: &RequestMembers<'_>,
    unsupported: &mut Unsupported,
    path: &dyn Fn() -> String,
) -> Result<bool, RequestError> {
    let kind = required(part, "type", || format!("{}.type", path()))?;
    match kind.escaped() {
        "input_text" | "output_text" | "text" => {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            Piece::Source(required(part, "text", || format!("{}.text", path()))?).write(out);
        }
        "input_image" => {
            let Some(url) = text(part, "image_url", || format!("{}.image_url", path()))? else {
                let remedy = "send the picture as `image_url`";
                return Err(RequestError::NotTaken { param: path(), remedy });
            };
            out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
            Piece::Source(url).write(out);
            if let Some(detail) = text(part, "detail", || format!("{}.detail", path()))? {
                out.extend_from_slice(b",\"detail\":");
                Piece::Source(detail).write(out);
            }
            out.push(b'}');
        }
        "input_file" => write_file(out, part, path)?,
        "input_audio" => {
            let audio = member(part, "input_audio").ok_or_else(|| RequestError::Missing {
                param: format!("{}.input_audio", path()),
            })?;
            out.extend_from_slice(b"{\"type\":\"input_audio\",\"input_audio\":");
            out.extend_from_slice(audio.get().as_bytes());
        }
        _ => {
            unsupported.note(path());
            return Ok(false);
        }
    }
    out.push(b'}');
    Ok(true)
}

fn write_file(
    out: &mut Vec<u8>,
    part: &RequestMembers<'_>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    out.extend_from_slice(b"{\"type\":\"file\",\"file\":{");
    let empty = out.len();
    for name in ["filename", "file_data", "file_id"] {
        if let Some(value) = text(part, name, || format!("{}.{name}", path()))? {
            if out.len() > empty {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            Piece::Source(value).write(out);
        }
    }
    if !part.has("file_data") && !part.has("file_id") {
        let remedy = "send the file as `file_data` or `file_id`";
        return Err(RequestError::NotTaken { param: path(), remedy });
    }
    out.push(b'}');
    Ok(())
}
