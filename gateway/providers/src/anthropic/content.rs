//! Translates content: an OpenAI message's text or parts in, Anthropic's content blocks out.

use super::{
    error::RequestError,
    read::{decoded, member, object, required, text},
};
use crate::json_text::{JsonMembers, Piece, Text, elements, kind, push_string};
use serde_json::value::RawValue;

/// Appends blocks to a list, with commas between them.
pub(super) struct ContentBlocks<'o> {
    pub(super) out: &'o mut Vec<u8>,
}

impl ContentBlocks<'_> {
    /// Begins a block: the caller writes the rest of an object, to its end.
    pub(super) fn begin(&mut self, kind: &str) -> &mut Vec<u8> {
        if self.out.last() == Some(&b'}') {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"{\"type\":\"");
        self.out.extend_from_slice(kind.as_bytes());
        self.out.push(b'"');
        self.out
    }

    /// Appends a block as the client wrote it.
    pub(super) fn copy(&mut self, json: &str) {
        if self.out.last() == Some(&b'}') {
            self.out.push(b',');
        }
        self.out.extend_from_slice(json.as_bytes());
    }

    /// Appends a text; Anthropic refuses empty ones, and they say nothing.
    pub(super) fn text(&mut self, text: Text<'_>, cache_control: Option<&RawValue>) {
        if text.escaped().is_empty() {
            return;
        }
        let out = self.begin("text");
        push_member(out, "text", &Piece::Source(text));
        end(out, cache_control);
    }
}

/// Appends `,"name":value`.
pub(super) fn push_member(out: &mut Vec<u8>, name: &str, value: &Piece<'_>) {
    push_raw(out, name, value.json());
}

pub(super) fn push_raw(out: &mut Vec<u8>, name: &str, json: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    out.extend_from_slice(json);
}

/// Ends a block, with its mark for the prompt cache.
pub(super) fn end(out: &mut Vec<u8>, cache_control: Option<&RawValue>) {
    if let Some(mark) = cache_control {
        push_raw(out, "cache_control", mark.get().as_bytes());
    }
    out.push(b'}');
}

/// Appends the blocks of `content`: a text or a list of parts. The message's own mark for the
/// prompt cache is for its last text.
pub(super) fn write_content(
    blocks: &mut ContentBlocks<'_>,
    content: Option<&RawValue>,
    cache_control: Option<&RawValue>,
    path: &str,
) -> Result<(), RequestError> {
    let Some(content) = content else { return Ok(()) };
    if let Some(text) = Text::of(content) {
        blocks.text(text, cache_control);
        return Ok(());
    }
    let parts = elements(content).ok_or_else(|| RequestError::WrongType {
        param: path.to_owned(),
        expected: "a string or an array of parts",
        found: kind(content),
    })?;
    let mut parts = parts.enumerate().peekable();
    while let Some((at, part)) = parts.next() {
        let path = || format!("{path}[{at}]");
        let own = object(part, path, "an object with a `type`")?;
        let mark = member(&own, "cache_control");
        let mark = mark.or(cache_control.filter(|_| parts.peek().is_none()));
        write_part(blocks, &own, part, mark, &path)?;
    }
    Ok(())
}

fn write_part(
    blocks: &mut ContentBlocks<'_>,
    part: &JsonMembers<'_>,
    json: &str,
    mark: Option<&RawValue>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let kind = required(part, "type", || format!("{}.type", path()))?;
    match kind.escaped() {
        "text" => {
            let text = required(part, "text", || format!("{}.text", path()))?;
            blocks.text(text, mark);
        }
        "refusal" => {
            let text = required(part, "refusal", || format!("{}.refusal", path()))?;
            blocks.text(text, mark);
        }
        "image_url" => write_image(blocks, part, mark, path)?,
        "file" => write_file(blocks, part, mark, path)?,
        "input_audio" => {
            return Err(RequestError::NotTaken {
                param: path(),
                remedy: "send texts, images and files",
            });
        }
        // Blocks of Anthropic's own: `image`, `document`, `search_result` and later ones.
        _ => blocks.copy(json),
    }
    Ok(())
}

fn write_image(
    blocks: &mut ContentBlocks<'_>,
    part: &JsonMembers<'_>,
    mark: Option<&RawValue>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let path = || format!("{}.image_url", path());
    let url = match member(part, "image_url") {
        Some(inner) if inner.get().starts_with('{') => {
            let inner = object(inner.get(), path, "an object with a `url`")?;
            required(&inner, "url", || format!("{}.url", path()))?
        }
        _ => required(part, "image_url", path)?,
    };
    let url = decoded(url, path)?;
    let out = blocks.begin("image");
    write_source(out, &url, &path)?;
    end(out, mark);
    Ok(())
}

/// A file: inline as a `data:` URI, by its address, or by its id at Anthropic.
fn write_file(
    blocks: &mut ContentBlocks<'_>,
    part: &JsonMembers<'_>,
    mark: Option<&RawValue>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let path = || format!("{}.file", path());
    let inner = member(part, "file").ok_or_else(|| RequestError::Missing { param: path() })?;
    let file = object(inner.get(), path, "an object with `file_data` or `file_id`")?;
    let data = text(&file, "file_data", || format!("{}.file_data", path()))?;
    let id = text(&file, "file_id", || format!("{}.file_id", path()))?;
    let name = text(&file, "filename", || format!("{}.filename", path()))?;
    let address = data
        .or(id)
        .ok_or_else(|| RequestError::Missing { param: format!("{}.file_data", path()) })?;
    let address = decoded(address, path)?;
    let is_image = address.starts_with("data:image/");
    let out = blocks.begin(if is_image { "image" } else { "document" });
    if data.is_some() || address.contains("://") {
        write_source(out, &address, &path)?;
    } else {
        out.extend_from_slice(b",\"source\":{\"type\":\"file\"");
        push_member(out, "file_id", &Piece::of(address.into_owned()));
        out.push(b'}');
    }
    if let Some(name) = name.filter(|_| !is_image) {
        push_member(out, "title", &Piece::Source(name));
    }
    end(out, mark);
    Ok(())
}

/// Appends the `source` of an image or a document.
fn write_source(
    out: &mut Vec<u8>,
    address: &str,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let refused = |remedy| RequestError::NotTaken { param: path(), remedy };
    let Some((scheme, rest)) = address.split_once(':') else {
        return Err(refused("send `data:TYPE;base64,DATA` or an address with `https://`"));
    };
    if !scheme.eq_ignore_ascii_case("data") {
        if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
            return Err(refused("send `data:TYPE;base64,DATA` or an address with `https://`"));
        }
        out.extend_from_slice(b",\"source\":{\"type\":\"url\",\"url\":");
        push_string(out, address);
        out.push(b'}');
        return Ok(());
    }
    let (media, data) = rest.split_once(',').unwrap_or((rest, ""));
    let media = media.trim();
    let base64 = media.get(..media.len().saturating_sub(";base64".len()));
    let is_base64 = media.to_ascii_lowercase().ends_with(";base64");
    match base64.filter(|_| is_base64) {
        Some(media) if !data.is_empty() && !media.is_empty() => {
            out.extend_from_slice(b",\"source\":{\"type\":\"base64\",\"media_type\":");
            // Parameters such as `charset` are no part of the type.
            push_string(out, media.split(';').next().unwrap_or(media).trim());
            out.extend_from_slice(b",\"data\":");
            push_string(out, data);
            out.push(b'}');
            Ok(())
        }
        _ => Err(refused("send it as `data:TYPE;base64,DATA`")),
    }
}
