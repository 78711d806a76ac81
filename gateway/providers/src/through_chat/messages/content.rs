//! Translates content blocks into the parts of a chat's message.

use super::{
    Json, RequestError, RequestMembers, Unsupported, list, member, object, required, text,
};
use crate::json_text::{Piece, push_string};

/// The parts of a message: its texts, and pictures and files. There may be a million small ones, so
/// none has memory of its own.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The parts one after the other: a text's own JSON, with its quotes, and the whole JSON of
    /// others.
    json: Vec<u8>,
    ends: Vec<PartEnd>,
}

#[derive(Debug, Clone, Copy)]
struct PartEnd {
    /// In `json`.
    at: usize,
    is_text: bool,
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn text(&mut self, text: &Piece<'_>) {
        if !text.is_empty() {
            self.json.extend_from_slice(text.json());
            self.end(true);
        }
    }

    /// Ends the part that was appended to `json`.
    fn end(&mut self, is_text: bool) {
        self.ends.push(PartEnd { at: self.json.len(), is_text });
    }

    /// Each part, and whether it is a text.
    fn iter(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| end.at));
        let part = |(start, end): (usize, &PartEnd)| (&self.json[start..end.at], end.is_text);
        starts.zip(&self.ends).map(part)
    }

    pub(super) fn append(&mut self, other: &Self) {
        for (json, is_text) in other.iter() {
            self.json.extend_from_slice(json);
            self.end(is_text);
        }
    }

    /// Moves the texts out, without quotes, with line breaks between them.
    pub(super) fn take_text(&mut self, out: &mut Vec<u8>) {
        let (mut is_first, mut others) = (true, Self::default());
        for (json, is_text) in self.iter() {
            if !is_text {
                others.json.extend_from_slice(json);
                others.end(false);
                continue;
            }
            if !std::mem::replace(&mut is_first, false) {
                out.extend_from_slice(b"\\n");
            }
            out.extend_from_slice(inside(json));
        }
        *self = others;
    }

    /// Writes the value of `content`: a string if there is nothing but one text.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let [PartEnd { is_text: true, .. }] = &*self.ends {
            return out.extend_from_slice(&self.json);
        }
        out.push(b'[');
        crate::json_text::push_list(out, self.iter(), |out, (json, is_text)| {
            if !is_text {
                return out.extend_from_slice(json);
            }
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
            out.extend_from_slice(json);
            out.push(b'}');
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
        let json = &mut self.json;
        json.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
        match kind.escaped() {
            "base64" => push_data_uri(json, &source, &path)?,
            "url" => {
                let url = required(&source, "url", || format!("{}.url", path()))?;
                Piece::Source(url).write(json);
            }
            _ => {
                let remedy = "send pictures as `base64` or `url`";
                return Err(RequestError::NotTaken { param: path(), remedy });
            }
        }
        json.extend_from_slice(b"}}");
        self.end(false);
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
        let begin = b"{\"type\":\"file\",\"file\":{";
        let json = &mut self.json;
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
                json.extend_from_slice(begin);
                json.extend_from_slice(b"\"filename\":");
                match title.filter(|title| !title.escaped().is_empty()) {
                    Some(title) => Piece::Source(title).write(json),
                    None => push_string(json, "document.pdf"),
                }
                json.extend_from_slice(b",\"file_data\":");
                push_data_uri(json, &source, &path)?;
            }
            "file" => {
                json.extend_from_slice(begin);
                json.extend_from_slice(b"\"file_id\":");
                let id = required(&source, "file_id", || format!("{}.file_id", path()))?;
                Piece::Source(id).write(json);
            }
            _ => {
                let remedy = "send documents as `base64` or `text`";
                return Err(RequestError::NotTaken { param: path(), remedy });
            }
        }
        json.extend_from_slice(b"}}");
        self.end(false);
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
