//! The messages of a call, read and edited one by one without a tree.
//!
//! One pass checks the array and cuts it into messages, and finds each role and content. If one
//! element is not a message, the whole array is an error: a callback must not judge less than the
//! upstream gets. An edit replaces one value; the rest of a message (images, tool calls, numbers,
//! unknown members) stays byte for byte.

mod splice;

use super::{Unreadable, params::is_too_deep};
use bytes::{Bytes, BytesMut};
use callgate_json::{Ambiguity, Scanner, check_names, json_text, text, walk};
use plugin_api::EditError;
use std::{collections::VecDeque, ops::Range, sync::OnceLock};

/// The most messages of a call that callbacks can read; each costs extra memory.
pub(crate) const MAX_MESSAGES: usize = 16_384;

/// The messages, in order.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    elements: VecDeque<Message>,
    edited: bool,
}

#[derive(Debug, Clone)]
struct Message {
    json: Bytes,
    /// The positions of the values in `json`; empty if absent.
    role: Range<u32>,
    content: Range<u32>,
    /// Texts that differ from their form in `json`. Made on first use and kept, so that views of
    /// them stay valid.
    own_role: OnceLock<Box<str>>,
    own_text: OnceLock<Box<str>>,
}

impl Messages {
    /// Cuts a scanned JSON array; any other value has no messages.
    pub(crate) fn cut(array: &Bytes) -> Result<Self, Unreadable> {
        let array_text = text(array);
        if !array_text.starts_with('[') {
            return Ok(Self::default());
        }
        let (mut places, mut count) = (Vec::new(), 0);
        check_names(array_text, "messages", |place| {
            count += 1;
            if count <= MAX_MESSAGES {
                places.push(place);
            }
        })?;
        if count > MAX_MESSAGES {
            return Err(Unreadable::new(
                "messages".to_owned(),
                format!("'messages' must have at most {MAX_MESSAGES} elements, found {count}."),
            ));
        }
        // Allocated at full size, because a growing list is held twice for a moment.
        let mut elements = VecDeque::with_capacity(places.len());
        for (index, place) in places.into_iter().enumerate() {
            let message = Message::read(array.slice(place)).map_err(|misfit| misfit.at(index))?;
            elements.push_back(message);
        }
        Ok(Self { elements, edited: false })
    }

    /// Whether they have been edited.
    pub(crate) fn is_edited(&self) -> bool {
        self.edited
    }

    pub fn len(&self) -> usize {
        self.elements.len()
    }

    pub(crate) fn role(&self, index: usize) -> Option<&str> {
        Some(self.elements.get(index)?.role())
    }

    pub fn text(&self, index: usize) -> Option<&str> {
        Some(self.elements.get(index)?.text())
    }

    pub fn json(&self, index: usize) -> Option<&str> {
        Some(self.elements.get(index)?.json())
    }

    pub fn set_text(&mut self, index: usize, text: &str) -> Result<(), EditError> {
        let message = self.elements.get(index).ok_or(EditError::NotFound)?;
        let json = splice::content(message.json(), text);
        self.replace(index, json.into())
    }

    pub fn set_json(&mut self, index: usize, json: &str) -> Result<(), EditError> {
        if index >= self.elements.len() {
            return Err(EditError::NotFound);
        }
        let json = json.trim_ascii();
        Scanner::scan(json.as_bytes()).map_err(|_| EditError::NotJson)?;
        if is_too_deep("messages.0", json) {
            return Err(EditError::TooLarge);
        }
        check_names(json, "", |_| {}).map_err(|_| EditError::NotJson)?;
        self.replace(index, Bytes::copy_from_slice(json.as_bytes()))
    }

    fn replace(&mut self, index: usize, json: Bytes) -> Result<(), EditError> {
        let slot = self.elements.get_mut(index).ok_or(EditError::NotFound)?;
        *slot = Message::read(json).map_err(|_| EditError::NotJson)?;
        self.edited = true;
        Ok(())
    }

    pub fn insert(&mut self, index: usize, role: &str, text: &str) -> Result<(), EditError> {
        if index > self.elements.len() {
            return Err(EditError::NotFound);
        }
        let (role, text) = (json_text(role), json_text(text));
        let parts: [&[u8]; 5] = [b"{\"role\":", &role, b",\"content\":", &text, b"}"];
        let message = Message::read(parts.concat().into()).map_err(|_| EditError::NotJson)?;
        self.elements.insert(index, message);
        self.edited = true;
        Ok(())
    }

    pub fn remove(&mut self, index: usize) -> Result<(), EditError> {
        self.elements.remove(index).ok_or(EditError::NotFound)?;
        self.edited = true;
        Ok(())
    }

    /// The array in pieces that share memory with the messages, if it was edited.
    pub(crate) fn pieces(&self) -> Option<Vec<Bytes>> {
        if !self.edited {
            return None;
        }
        let mut pieces = Vec::with_capacity(2 * self.elements.len() + 2);
        pieces.push(Bytes::from_static(b"["));
        for (index, message) in self.elements.iter().enumerate() {
            if index > 0 {
                pieces.push(Bytes::from_static(b","));
            }
            pieces.push(message.json.clone());
        }
        pieces.push(Bytes::from_static(b"]"));
        Some(pieces)
    }

    /// The array as one text, if it was edited.
    pub fn rendered(&self) -> Option<Bytes> {
        if !self.edited {
            return None;
        }
        let room = self.elements.iter().map(|message| message.json.len() + 1).sum::<usize>() + 2;
        let mut array = BytesMut::with_capacity(room);
        array.extend_from_slice(b"[");
        for (index, message) in self.elements.iter().enumerate() {
            if index > 0 {
                array.extend_from_slice(b",");
            }
            array.extend_from_slice(&message.json);
        }
        array.extend_from_slice(b"]");
        Some(array.freeze())
    }
}

/// A part of a message that cannot be read: its path below the message, and what was expected.
#[derive(Debug)]
struct Misfit {
    path: String,
    expected: &'static str,
}

impl Misfit {
    fn new(path: impl Into<String>, expected: &'static str) -> Self {
        Self { path: path.into(), expected }
    }

    fn at(self, index: usize) -> Unreadable {
        let path = format!("messages[{index}]{}", self.path);
        let text = format!("'{path}' must be {}, found something else.", self.expected);
        Unreadable::new(path, text)
    }
}

impl From<Ambiguity> for Unreadable {
    fn from(ambiguity: Ambiguity) -> Self {
        let text = format!("{ambiguity}.");
        Self::new(ambiguity.path, text)
    }
}

impl Message {
    /// Finds role and content, and rejects values of the wrong type.
    fn read(json: Bytes) -> Result<Self, Misfit> {
        let source = text(&json);
        let members = walk::members(source).ok_or_else(|| Misfit::new("", "an object"))?;
        let (mut role, mut content) = (0..0, 0..0);
        for member in members {
            match &*walk::name_of(source, &member) {
                "role" => role = member.value,
                "content" => content = member.value,
                _ => {}
            }
        }
        if !matches!(source.as_bytes().get(role.start), Some(b'"' | b'n')) && !role.is_empty() {
            return Err(Misfit::new(".role", "a text"));
        }
        check_content(&source[content.clone()])?;
        let place = |range: Range<usize>| {
            let position = |at| u32::try_from(at).ok();
            Some(position(range.start)?..position(range.end)?)
        };
        let too_large = || Misfit::new("", "smaller than 4 GiB");
        let (role, content) =
            (place(role).ok_or_else(too_large)?, place(content).ok_or_else(too_large)?);
        let (own_role, own_text) = (OnceLock::new(), OnceLock::new());
        Ok(Self { json, role, content, own_role, own_text })
    }

    fn json(&self) -> &str {
        text(&self.json)
    }

    fn value(&self, place: &Range<u32>) -> &str {
        let bytes = self.json.get(place.start as usize..place.end as usize).unwrap_or_default();
        text(bytes)
    }

    fn role(&self) -> &str {
        let json = self.value(&self.role);
        match walk::plain(json) {
            Some(role) => role,
            None => self.own_role.get_or_init(|| walk::decoded(json).into()),
        }
    }

    fn text(&self) -> &str {
        let json = self.value(&self.content);
        match walk::plain(json) {
            Some(text) => text,
            None if !json.starts_with(['"', '[']) => "",
            None => self.own_text.get_or_init(|| text_of(json).into()),
        }
    }
}

/// Content is a text, `null`, or a list of parts. A part is a text or an object, and its `text` is
/// a text or `null`.
fn check_content(content: &str) -> Result<(), Misfit> {
    match content.as_bytes().first() {
        None | Some(b'"' | b'n') => return Ok(()),
        Some(b'[') => {}
        _ => return Err(Misfit::new(".content", "a text or an array of parts")),
    }
    for (index, part) in walk::elements(content).into_iter().flatten().enumerate() {
        let part = &content[part.value];
        let text = match part.as_bytes().first() {
            Some(b'"') => continue,
            Some(b'{') => walk::value(part, "text"),
            _ => return Err(Misfit::new(format!(".content[{index}]"), "an object")),
        };
        if text.is_some_and(|text| !text.starts_with(['"', 'n'])) {
            return Err(Misfit::new(format!(".content[{index}].text"), "a text"));
        }
    }
    Ok(())
}

/// The text of content that is not a plain text in the message's own bytes.
fn text_of(content: &str) -> String {
    if content.starts_with('"') {
        return walk::decoded(content).into_owned();
    }
    let mut all = String::new();
    let mut first = true;
    for part in walk::elements(content).into_iter().flatten() {
        let Some(text) = splice::part_text(&content[part.value]) else { continue };
        if !std::mem::take(&mut first) {
            all.push('\n');
        }
        all.push_str(&walk::decoded(text));
    }
    all
}

#[cfg(test)]
mod tests;
