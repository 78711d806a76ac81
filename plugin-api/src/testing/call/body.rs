//! The body of a test's call: a JSON object, the texts rendered from it, and dotted paths into it.
//! Texts are rendered when they are first read and kept until the next edit, because a returned
//! view must stay valid until then.

use crate::{EditError, abi::serve::Edited, limits};
use serde_json::{Map, Value, json};
use std::cell::OnceCell;

/// Members of the body that have accessors of their own.
const OWN_ACCESSORS: [&str; 3] = ["model", "messages", "stream"];

pub(super) struct Body {
    members: Map<String, Value>,
    /// The total size of all edits so far.
    edited: usize,
    kept: Kept,
}

/// The texts that were read since the last edit.
#[derive(Default)]
struct Kept {
    text: OnceCell<String>,
    messages: OnceCell<Vec<KeptMessage>>,
    params: OnceCell<Box<KeptParam>>,
}

#[derive(Default)]
struct KeptMessage {
    text: OnceCell<String>,
    json: OnceCell<String>,
}

/// A list that only grows at its end, so that its elements never move.
struct KeptParam {
    path: String,
    json: String,
    next: OnceCell<Box<Self>>,
}

impl Body {
    pub(super) fn new(body: Value) -> Self {
        let members = if let Value::Object(members) = body { members } else { Map::new() };
        Self { members, edited: 0, kept: Kept::default() }
    }

    pub(super) fn value(&self) -> Value {
        Value::Object(self.members.clone())
    }

    pub(super) fn text(&self) -> &str {
        self.kept.text.get_or_init(|| json!(self.members).to_string())
    }

    pub(super) fn model(&self) -> &str {
        self.members.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn stream(&self) -> bool {
        self.members.get("stream").and_then(Value::as_bool).unwrap_or_default()
    }

    /// Counts the size of an edit.
    fn spend(&mut self, bytes: usize) -> Edited {
        let edited = self.edited.saturating_add(bytes);
        if edited > limits::BODY_EDITS {
            return Err(EditError::TooLarge);
        }
        self.edited = edited;
        Ok(())
    }

    /// Returns the members for an edit, and drops the texts that were read before.
    fn edit(&mut self) -> &mut Map<String, Value> {
        self.kept = Kept::default();
        &mut self.members
    }

    pub(super) fn set_member(&mut self, name: &str, value: Value) {
        self.edit().insert(name.to_owned(), value);
    }

    pub(super) fn replace(&mut self, body: &[u8]) -> Edited {
        self.spend(body.len())?;
        let members = serde_json::from_slice(body).map_err(|_| EditError::NotJson)?;
        *self.edit() = members;
        Ok(())
    }

    pub(super) fn param(&self, path: &str) -> Option<&str> {
        let mut slot = &self.kept.params;
        while let Some(kept) = slot.get() {
            if kept.path == path {
                return Some(&kept.json);
            }
            slot = &kept.next;
        }
        let json = self.at(path)?.to_string();
        let new = || Box::new(KeptParam { path: path.to_owned(), json, next: OnceCell::new() });
        Some(&slot.get_or_init(new).json)
    }

    fn at(&self, path: &str) -> Option<&Value> {
        let (first, rest) = split(path);
        let member = self.members.get(first)?;
        rest.map_or(Some(member), |rest| {
            rest.split('.').try_fold(member, |value, part| match value {
                Value::Object(members) => members.get(part),
                Value::Array(items) => items.get(part.parse::<usize>().ok()?),
                _ => None,
            })
        })
    }

    pub(super) fn set_param(&mut self, path: &str, json: &str) -> Edited {
        self.spend(path.len() + json.len())?;
        let value: Value = serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
        let (parents, name) = path.rsplit_once('.').map_or((None, path), |(a, b)| (Some(a), b));
        if path.is_empty() || OWN_ACCESSORS.contains(&split(path).0) {
            return Err(EditError::NotAllowed);
        }
        let mut slot = self.edit();
        for part in parents.into_iter().flat_map(|parents| parents.split('.')) {
            let next = slot.entry(part).or_insert_with(|| json!({}));
            slot = next.as_object_mut().ok_or(EditError::WrongKind)?;
        }
        slot.insert(name.to_owned(), value);
        Ok(())
    }

    pub(super) fn remove_param(&mut self, path: &str) -> Edited {
        if OWN_ACCESSORS.contains(&split(path).0) {
            return Err(EditError::NotAllowed);
        }
        let (parents, name) = path.rsplit_once('.').map_or((None, path), |(a, b)| (Some(a), b));
        let mut slot = Some(self.edit());
        for part in parents.into_iter().flat_map(|parents| parents.split('.')) {
            slot = slot.and_then(|members| members.get_mut(part)).and_then(Value::as_object_mut);
        }
        let members = slot.filter(|members| members.contains_key(name));
        // Keeps the order of the others, also in a build whose maps have one.
        members.map(|members| members.retain(|member, _| member != name)).ok_or(EditError::NotFound)
    }

    fn messages(&self) -> &[Value] {
        self.members.get("messages").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn edit_messages(&mut self) -> Result<&mut Vec<Value>, EditError> {
        let messages = self.edit().entry("messages").or_insert_with(|| json!([]));
        messages.as_array_mut().ok_or(EditError::WrongKind)
    }

    fn edit_message(&mut self, index: usize) -> Result<&mut Value, EditError> {
        self.edit_messages()?.get_mut(index).ok_or(EditError::NotFound)
    }

    fn kept_message(&self, index: usize) -> Option<&KeptMessage> {
        let empty = || self.messages().iter().map(|_| KeptMessage::default()).collect();
        self.kept.messages.get_or_init(empty).get(index)
    }

    pub(super) fn message_count(&self) -> usize {
        self.messages().len()
    }

    pub(super) fn message_role(&self, index: usize) -> Option<&str> {
        self.messages().get(index)?.get("role")?.as_str()
    }

    pub(super) fn message_text(&self, index: usize) -> Option<&str> {
        let message = self.messages().get(index)?;
        Some(self.kept_message(index)?.text.get_or_init(|| text_of(message)))
    }

    pub(super) fn message_json(&self, index: usize) -> Option<&str> {
        let message = self.messages().get(index)?;
        Some(self.kept_message(index)?.json.get_or_init(|| message.to_string()))
    }

    pub(super) fn push_message(&mut self, message: Value) {
        if let Ok(messages) = self.edit_messages() {
            messages.push(message);
        }
    }

    pub(super) fn set_message_text(&mut self, index: usize, text: &str) -> Edited {
        self.spend(text.len())?;
        let message = self.edit_message(index)?.as_object_mut().ok_or(EditError::WrongKind)?;
        match message.get_mut("content") {
            Some(Value::Array(parts)) => {
                let place = parts.iter().position(is_text_part).unwrap_or_default();
                parts.retain(|part| !is_text_part(part));
                parts.insert(place, json!({"type": "text", "text": text}));
            }
            _ => drop(message.insert("content".to_owned(), text.into())),
        }
        Ok(())
    }

    pub(super) fn set_message_json(&mut self, index: usize, json: &str) -> Edited {
        self.spend(json.len())?;
        let message: Map<String, Value> =
            serde_json::from_str(json).map_err(|_| EditError::NotJson)?;
        *self.edit_message(index)? = Value::Object(message);
        Ok(())
    }

    pub(super) fn insert_message(&mut self, index: usize, role: &str, text: &str) -> Edited {
        self.spend(role.len() + text.len())?;
        let messages = self.edit_messages()?;
        if index > messages.len() {
            return Err(EditError::NotFound);
        }
        messages.insert(index, json!({"role": role, "content": text}));
        Ok(())
    }

    pub(super) fn remove_message(&mut self, index: usize) -> Edited {
        self.edit_message(index)?;
        self.edit_messages()?.remove(index);
        Ok(())
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

fn is_text_part(part: &Value) -> bool {
    part["type"] == "text"
}

fn text_of(message: &Value) -> String {
    match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(parts) => {
            let texts = parts.iter().filter(|part| is_text_part(part));
            texts.filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n")
        }
        _ => String::new(),
    }
}
