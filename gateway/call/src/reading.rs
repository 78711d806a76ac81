//! The body below its top level: checked and cut when somebody first reads it.
//!
//! A call that no callback looks into is sent as it came: nothing of it was judged, so nothing can
//! differ from what was. Before a callback looks, all of it is checked here: what two readers could
//! take differently is the client's mistake, and nobody gets to see half of it. Edits of a text
//! that was checked do not fail by what is in it.

use super::{Call, messages::Messages};
use callgate_failure::Failure;
use callgate_json::{Body, LARGE, check_names};
use std::sync::Arc;

/// Why a body cannot be read without doubt: the client's mistake, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    param: String,
    message: String,
}

/// A body's messages, or why it cannot be read. Shared by the clones of a call.
pub(crate) type Reading = Result<Arc<Messages>, Unreadable>;

impl Unreadable {
    pub(super) fn new(param: String, message: String) -> Self {
        Self(Box::new(Details { param, message }))
    }
}

impl From<&Unreadable> for Failure {
    fn from(unreadable: &Unreadable) -> Self {
        let Details { param, message } = &*unreadable.0;
        Self::invalid(message.clone()).param(param.clone())
    }
}

/// Reads a body.
pub(super) fn read(body: &Body) -> Reading {
    for (name, json) in body.sent() {
        if name != "messages" && json.starts_with(['{', '[']) {
            check_names(json, &name, |_| {})?;
        }
    }
    Ok(Arc::new(Messages::cut(&body.member_bytes("messages").unwrap_or_default())?))
}

impl Call {
    /// The messages; `None` when the body cannot be read.
    pub(super) fn messages(&self) -> Option<&Messages> {
        self.reading.get_or_init(|| read(&self.body)).as_deref().ok()
    }

    pub(super) fn messages_mut(&mut self) -> Option<&mut Messages> {
        self.messages();
        self.reading.get_mut()?.as_mut().ok().map(Arc::make_mut)
    }

    /// What there is to do before the body can be read, for another thread; `None` when it is done.
    pub fn unread(&self) -> Option<impl FnOnce() -> Reading + Send + 'static + use<>> {
        let body = self.reading.get().is_none().then(|| self.body.clone())?;
        Some(move || read(&body))
    }

    /// Takes over what [`Call::unread`] came to.
    pub fn set_reading(&mut self, reading: Reading) {
        // Whoever was first read the same body.
        let _ = self.reading.set(reading);
    }

    /// Refuses a body that cannot be read.
    pub fn readable(&self) -> Result<(), Failure> {
        self.messages();
        self.found_unreadable().map_or(Ok(()), Err)
    }

    /// Whether somebody has tried to read the body and could not.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.reading.get(), Some(Err(_)))
    }

    /// Whether passing all of it takes so long that other calls of the thread must not wait.
    pub fn is_large(&self) -> bool {
        self.body.len() + self.edited > LARGE
    }

    /// What a callback came upon that is the client's mistake: text that cannot be read.
    pub fn found_unreadable(&self) -> Option<Failure> {
        Some(self.reading.get()?.as_ref().err()?.into())
    }

    /// As [`Call::found_unreadable`], or an edit that the client's text did not allow.
    pub fn excuse(&self) -> Option<Failure> {
        self.found_unreadable().or_else(|| self.refused_edit.as_ref().map(Failure::from))
    }

    /// The next hook's edits are its own.
    pub fn forget_excuse(&mut self) {
        self.refused_edit = None;
    }

    /// Takes over from a clone that is left behind what was found out about the client's text.
    pub fn learn(&mut self, clone: &Self) {
        if let Some(Err(unreadable)) = clone.reading.get() {
            self.reading = std::cell::OnceCell::from(Err(unreadable.clone()));
        }
        self.refused_edit.clone_from(&clone.refused_edit);
    }
}
