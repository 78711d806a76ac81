//! The messages of a call, read and edited one by one without parsing the others.
//!
//! The array is cut into its elements by one scan; an element is parsed when its role or text is
//! first asked for. An edit replaces one element; everything in the others (images, tool calls,
//! unknown members) stays byte for byte.

use crate::json::Scanner;
use bytes::{Bytes, BytesMut};
use plugin_api::EditError;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{borrow::Cow, cell::OnceCell};

/// The messages, in order.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    elements: Vec<Message>,
    edited: bool,
}

#[derive(Debug, Clone)]
struct Message {
    json: Bytes,
    read: OnceCell<Read>,
}

/// What was asked of a message: kept, so that views of it stay where they are.
#[derive(Debug, Clone, Default)]
struct Read {
    role: Box<str>,
    text: Text,
}

#[derive(Debug, Clone)]
enum Text {
    /// Found as it is in the message's JSON.
    Within(usize, usize),
    Own(Box<str>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Own(Box::default())
    }
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a serde_json::value::RawValue>,
}

impl Messages {
    /// Cuts a JSON array; anything else has no messages.
    pub(crate) fn cut(array: &Bytes) -> Self {
        let is_array = array.first() == Some(&b'[');
        let members = Scanner::scan(array).unwrap_or_default();
        let elements = members
            .into_iter()
            .filter(|_| is_array)
            .map(|member| Message::new(array.slice(member.value)))
            .collect();
        Self { elements, edited: false }
    }

    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    pub(crate) fn role(&self, index: usize) -> Option<&str> {
        Some(&self.elements.get(index)?.read().role)
    }

    pub(crate) fn text(&self, index: usize) -> Option<&str> {
        let message = self.elements.get(index)?;
        Some(match &message.read().text {
            Text::Within(start, end) => {
                std::str::from_utf8(&message.json[*start..*end]).unwrap_or_default()
            }
            Text::Own(text) => text,
        })
    }

    pub(crate) fn json(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(&self.elements.get(index)?.json).ok()
    }

    pub(crate) fn set_text(&mut self, index: usize, text: &str) -> Result<(), EditError> {
        let message = self.elements.get_mut(index).ok_or(EditError::NotFound)?;
        let mut value: Value =
            serde_json::from_slice(&message.json).map_err(|_| EditError::NotJson)?;
        let object = value.as_object_mut().ok_or(EditError::WrongKind)?;
        match object.get_mut("content") {
            Some(Value::Array(parts)) => replace_text_parts(parts, text),
            _ => {
                object.insert("content".to_owned(), Value::String(text.to_owned()));
            }
        }
        *message = Message::new(value.to_string().into());
        self.edited = true;
        Ok(())
    }

    pub(crate) fn set_json(&mut self, index: usize, json: &str) -> Result<(), EditError> {
        let message = self.elements.get_mut(index).ok_or(EditError::NotFound)?;
        let value: Value = serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
        if !value.is_object() {
            return Err(EditError::NotJson);
        }
        *message = Message::new(Bytes::copy_from_slice(json.as_bytes()));
        self.edited = true;
        Ok(())
    }

    pub(crate) fn insert(&mut self, index: usize, role: &str, text: &str) -> Result<(), EditError> {
        if index > self.elements.len() {
            return Err(EditError::NotFound);
        }
        let json = json!({"role": role, "content": text}).to_string();
        self.elements.insert(index, Message::new(json.into()));
        self.edited = true;
        Ok(())
    }

    pub(crate) fn remove(&mut self, index: usize) -> Result<(), EditError> {
        if index >= self.elements.len() {
            return Err(EditError::NotFound);
        }
        self.elements.remove(index);
        self.edited = true;
        Ok(())
    }

    /// The array, when it is no longer what it was.
    pub(crate) fn rendered(&self) -> Option<Bytes> {
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

impl Message {
    fn new(json: Bytes) -> Self {
        Self { json, read: OnceCell::new() }
    }

    fn read(&self) -> &Read {
        self.read.get_or_init(|| {
            let Ok(outline) = serde_json::from_slice::<Outline<'_>>(&self.json) else {
                return Read::default();
            };
            let text = outline.content.map_or_else(Text::default, |raw| self.text_of(raw.get()));
            Read { role: outline.role.unwrap_or_default().into(), text }
        })
    }

    fn text_of(&self, content: &str) -> Text {
        if let Some(plain) = content.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'))
            && !plain.contains('\\')
        {
            // `content` was borrowed from `json`, so the distance is a position in it.
            let start = plain.as_ptr() as usize - self.json.as_ptr() as usize;
            return Text::Within(start, start + plain.len());
        }
        match serde_json::from_str(content) {
            Ok(Value::String(text)) => Text::Own(text.into()),
            Ok(Value::Array(parts)) => {
                let texts: Vec<&str> = parts.iter().filter_map(part_text).collect();
                Text::Own(texts.join("\n").into())
            }
            _ => Text::default(),
        }
    }
}

fn part_text(part: &Value) -> Option<&str> {
    let is_text = part.get("type").and_then(Value::as_str) == Some("text");
    part.get("text").and_then(Value::as_str).filter(|_| is_text)
}

/// The first text part takes the text, further ones go, everything else stays in place.
fn replace_text_parts(parts: &mut Vec<Value>, text: &str) {
    let mut first = true;
    parts.retain_mut(|part| {
        if part_text(part).is_none() {
            return true;
        }
        if let Some(slot) = part.get_mut("text") {
            *slot = Value::String(text.to_owned());
        }
        std::mem::replace(&mut first, false)
    });
    if first {
        parts.insert(0, json!({"type": "text", "text": text}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(array: &str) -> Messages {
        Messages::cut(&Bytes::copy_from_slice(array.as_bytes()))
    }

    const MIXED: &str = r#"[
        {"role": "system", "content": "plain é"},
        {"role":"user","content":"a\nb \"q\""},
        {"role":"user","content":[{"type":"text","text":"one"},{"type":"image_url","image_url":{"url":"data:x"}},{"type":"text","text":"two"}]},
        {"role":"assistant","content":null,"tool_calls":[{"id":"c1"}]},
        {"content": 7}, 5
    ]"#;

    #[test]
    fn reads_roles_and_texts_of_every_shape() {
        let messages = messages(MIXED);
        let read: Vec<_> = (0..messages.len())
            .map(|i| (messages.role(i).unwrap(), messages.text(i).unwrap()))
            .collect();
        assert_eq!(
            read,
            [
                ("system", "plain é"),
                ("user", "a\nb \"q\""),
                ("user", "one\ntwo"),
                ("assistant", ""),
                ("", ""),
                ("", "")
            ]
        );
        assert_eq!(messages.text(6), None);
        assert_eq!(messages.rendered(), None);
    }

    #[test]
    fn an_edit_leaves_neighbours_and_other_parts_alone() {
        let mut edited = messages(MIXED);
        edited.set_text(2, "new").unwrap();
        edited.set_text(3, "said").unwrap();
        assert_eq!(edited.set_text(5, "x"), Err(EditError::WrongKind));
        assert_eq!(
            edited.json(2).unwrap(),
            r#"{"role":"user","content":[{"type":"text","text":"new"},{"type":"image_url","image_url":{"url":"data:x"}}]}"#
        );
        assert_eq!(
            edited.json(3).unwrap(),
            r#"{"role":"assistant","content":"said","tool_calls":[{"id":"c1"}]}"#
        );
        let array = edited.rendered().unwrap();
        assert!(array.starts_with(br#"[{"role": "system", "content": "plain"#));
    }

    #[test]
    fn inserts_removes_and_replaces() {
        let mut edited = messages(r#"[{"role":"user","content":"a"}]"#);
        edited.insert(1, "user", "b").unwrap();
        edited.insert(0, "system", "s\"").unwrap();
        edited.set_json(1, r#"{"role":"user","content":"A"}"#).unwrap();
        edited.remove(2).unwrap();
        assert_eq!(edited.remove(2), Err(EditError::NotFound));
        assert_eq!(edited.insert(9, "user", ""), Err(EditError::NotFound));
        assert_eq!(edited.set_json(0, "[]"), Err(EditError::NotJson));
        assert_eq!(
            edited.rendered().unwrap(),
            r#"[{"role":"system","content":"s\""},{"role":"user","content":"A"}]"#
        );
    }

    #[test]
    fn what_is_no_array_has_no_messages() {
        for text in ["\"hi\"", "{\"a\":1}", "null", "7"] {
            assert_eq!(messages(text).len(), 0);
        }
    }
}
