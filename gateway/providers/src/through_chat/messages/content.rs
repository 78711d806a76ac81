//! Translates content blocks into the parts of a chat's message.

use super::{
    Json, RequestError, RequestMembers, Unsupported, list, member, object, required, text,
};
use crate::json_text::{Piece, push_string};

/// The parts of a message: its texts, and pictures and files.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Each part as JSON, with a text's own JSON.
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    /// The JSON of a text, with its quotes.
    Text(Vec<u8>),
    /// The JSON of a part of another kind.
    Other(Vec<u8>),
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn text(&mut self, text: &Piece<'_>) {
        if !text.is_empty() {
            self.parts.push(Part::Text(text.json().to_vec()));
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.parts.append(&mut other.parts);
    }

    /// Moves the texts out, without quotes, with line breaks between them.
    pub(super) fn take_text(&mut self, out: &mut Vec<u8>) {
        let mut is_first = true;
        self.parts.retain(|part| {
            let Part::Text(json) = part else { return true };
            if !std::mem::replace(&mut is_first, false) {
                out.extend_from_slice(b"\\n");
            }
            out.extend_from_slice(inside(json));
            false
        });
    }

    /// Writes the value of `content`: a string if there is nothing but one text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let [Part::Text(json)] = &*self.parts {
            return out.extend_from_slice(json);
        }
        out.push(b'[');
        crate::json_text::push_list(out, &self.parts, |out, part| match part {
            Part::Text(json) => {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                out.extend_from_slice(json);
                out.push(b'}');
            }
            Part::Other(json) => out.extend_from_slice(json),
        });
        out.push(b']');
    }

    /// Adds a block of a user's turn or of a tool's result.
    pub(super) fn block(
        &mut self,
        kind: &str,
        block: &RequestMembers<'_>,
        unsupported: &mut Unsupported,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        match kind {
            "text" => {
                let text = required(block, "text", || format!("{}.text", path()))?;
                self.text(&Piece::Source(text));
            }
            "image" => self.image(block, path)?,
            "document" => self.document(block, path)?,
            "search_result" => {
                let content = member(block, "content");
                self.inner(content, &|| format!("{}.content", path()))?;
            }
            _ => unsupported.note(path()),
        }
        Ok(())
    }

    fn image(
        &mut self,
        block: &RequestMembers<'_>,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let path = || format!("{}.source", path());
        let source = source(block, &path)?;
        let kind = required(&source, "type", || format!("{}.type", path()))?;
        let mut json = b"{\"type\":\"image_url\",\"image_url\":{\"url\":".to_vec();
        match kind.escaped() {
            "base64" => push_data_uri(&mut json, &source, &path)?,
            "url" => {
                let url = required(&source, "url", || format!("{}.url", path()))?;
                Piece::Source(url).write(&mut json);
            }
            _ => {
                let remedy = "send pictures as `base64` or `url`";
                return Err(RequestError::NotTaken { param: path(), remedy });
            }
        }
        json.extend_from_slice(b"}}");
        self.parts.push(Part::Other(json));
        Ok(())
    }

    fn document(
        &mut self,
        block: &RequestMembers<'_>,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let title = text(block, "title", || format!("{}.title", path()))?;
        let path = || format!("{}.source", path());
        let source = source(block, &path)?;
        let kind = required(&source, "type", || format!("{}.type", path()))?;
        let mut json = b"{\"type\":\"file\",\"file\":{".to_vec();
        match kind.escaped() {
            "text" => {
                let text = required(&source, "data", || format!("{}.data", path()))?;
                self.text(&Piece::Source(text));
                return Ok(());
            }
            "content" => {
                let content = member(&source, "content");
                return self.inner(content, &|| format!("{}.content", path()));
            }
            "base64" => {
                json.extend_from_slice(b"\"filename\":");
                match title.filter(|title| !title.escaped().is_empty()) {
                    Some(title) => Piece::Source(title).write(&mut json),
                    None => push_string(&mut json, "document.pdf"),
                }
                json.extend_from_slice(b",\"file_data\":");
                push_data_uri(&mut json, &source, &path)?;
            }
            "file" => {
                json.extend_from_slice(b"\"file_id\":");
                let id = required(&source, "file_id", || format!("{}.file_id", path()))?;
                Piece::Source(id).write(&mut json);
            }
            _ => {
                let remedy = "send documents as `base64` or `text`";
                return Err(RequestError::NotTaken { param: path(), remedy });
            }
        }
        json.extend_from_slice(b"}}");
        self.parts.push(Part::Other(json));
        Ok(())
    }

    /// Adds the texts and pictures within a document.
    fn inner(
        &mut self,
        content: Option<Json<'_>>,
        path: &dyn Fn() -> String,
    ) -> Result<(), RequestError> {
        let Some(content) = content else { return Ok(()) };
        if let Some(text) = content.text() {
            self.text(&Piece::Source(text));
            return Ok(());
        }
        for (at, json) in list(content, path, "a string or an array of blocks")?.enumerate() {
            let path = || format!("{}[{at}]", path());
            let block = object(json, path, "a content block")?;
            let kind = required(&block, "type", || format!("{}.type", path()))?;
            match kind.escaped() {
                "image" => self.image(&block, &path)?,
                _ => {
                    let text = required(&block, "text", || format!("{}.text", path()))?;
                    self.text(&Piece::Source(text));
                }
            }
        }
        Ok(())
    }
}

fn source<'a>(
    block: &RequestMembers<'a>,
    path: &dyn Fn() -> String,
) -> Result<RequestMembers<'a>, RequestError> {
    let source = member(block, "source").ok_or_else(|| RequestError::Missing { param: path() })?;
    object(source.get(), path, "an object with a `type`")
}

/// Appends the string `data:TYPE;base64,DATA`.
fn push_data_uri(
    out: &mut Vec<u8>,
    source: &RequestMembers<'_>,
    path: &dyn Fn() -> String,
) -> Result<(), RequestError> {
    let media = required(source, "media_type", || format!("{}.media_type", path()))?;
    let data = required(source, "data", || format!("{}.data", path()))?;
    out.extend_from_slice(b"\"data:");
    out.extend_from_slice(media.escaped().as_bytes());
    out.extend_from_slice(b";base64,");
    out.extend_from_slice(data.escaped().as_bytes());
    out.push(b'"');
    Ok(())
}

/// A JSON string without its quotes.
fn inside(json: &[u8]) -> &[u8] {
    json.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or_default()
}

/// The text of a string or of blocks of text, which `between` divides, already escaped.
pub(super) fn joined_text<'a>(
    content: Json<'a>,
    between: &str,
    path: &dyn Fn() -> String,
) -> Result<Piece<'a>, RequestError> {
    if let Some(text) = content.text() {
        return Ok(Piece::Source(text));
    }
    let mut json = b"\"".to_vec();
    for (at, block) in list(content, path, "a string or an array of text blocks")?.enumerate() {
        let path = || format!("{}[{at}]", path());
        let block = object(block, path, "a text block")?;
        let text = required(&block, "text", || format!("{}.text", path()))?;
        if json.len() > 1 && !text.escaped().is_empty() {
            json.extend_from_slice(between.as_bytes());
        }
        json.extend_from_slice(text.escaped().as_bytes());
    }
    json.push(b'"');
    Ok(Piece::Made(json))
}
