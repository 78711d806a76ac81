//! Callbacks' reads and edits of a call, for fuzz targets.

use super::{Call, sample};
use callgate_json::fuzzing::arrived;
use plugin_api::EditError;

/// An edit by a callback.
#[derive(Debug, Clone, Copy)]
pub enum Edit<'a> {
    /// Sets a parameter, by path and JSON.
    Set(&'a str, &'a str),
    /// Removes a parameter.
    Remove(&'a str),
    /// Sets a message's text.
    SetText(usize, &'a str),
    /// Sets a message as JSON.
    SetJson(usize, &'a str),
    /// Inserts a message with role and text.
    Insert(usize, &'a str, &'a str),
    /// Removes a message.
    Drop(usize),
}

/// A call after its edits.
#[derive(Debug, PartialEq, Eq)]
pub struct Edited {
    /// Which edits succeeded.
    pub made: Vec<bool>,
    /// Role, text and JSON of each message, as callbacks see them.
    pub seen: Vec<[String; 3]>,
    /// The body, as callbacks see it.
    pub body: String,
    /// The body that the dialect gets.
    pub sent: Vec<u8>,
}

/// Edits the call whose body came in these pieces. `None` if the call is refused because callbacks
/// cannot read it.
#[must_use]
pub fn edit(pieces: &[&[u8]], edits: &[Edit<'_>]) -> Option<Edited> {
    let mut call = sample::call(arrived(pieces)?);
    call.readable().ok()?;
    let made = edits.iter().map(|edit| make(&mut call, *edit).is_ok()).collect();
    let message = |index| {
        let parts = [call.message_role(index), call.message_text(index), call.message_json(index)];
        parts.map(|part| part.unwrap_or_default().to_owned())
    };
    let seen = (0..call.message_count()).map(message).collect();
    let body = call.body_text().to_owned();
    call.settle_messages();
    Some(Edited { made, seen, body, sent: call.body.render().concat() })
}

fn make(call: &mut Call, edit: Edit<'_>) -> Result<(), EditError> {
    match edit {
        Edit::Set(path, json) => call.set_param(path, json),
        Edit::Remove(path) => call.remove_param(path),
        Edit::SetText(index, text) => {
            call.edit_messages(text.len(), |messages| messages.set_text(index, text))
        }
        Edit::SetJson(index, json) => {
            call.edit_messages(json.len(), |messages| messages.set_json(index, json))
        }
        Edit::Insert(index, role, text) => {
            let bytes = role.len() + text.len();
            call.edit_messages(bytes, |messages| messages.insert(index, role, text))
        }
        Edit::Drop(index) => call.edit_messages(0, |messages| messages.remove(index)),
    }
}
