//! The body below its top level, checked and cut into messages on first use.
//!
//! A call that no callback reads is sent as it came. Before a callback reads it, the whole body is
//! checked here: anything that two parsers could read differently is the client's error, so no
//! callback sees half of a body. Edits of a checked body cannot fail because of its content.

use super::{
    Call,
    messages::Messages,
    reading::{Reading, read},
};
use callgate_failure::Failure;
use callgate_json::LARGE;
use std::sync::Arc;

impl Call {
    /// The messages; `None` if the body cannot be read.
    pub(super) fn messages(&self) -> Option<&Messages> {
        self.reading.get_or_init(|| read(&self.body)).as_deref().ok()
    }

    pub(super) fn messages_mut(&mut self) -> Option<&mut Messages> {
        self.messages();
        self.reading.get_mut()?.as_mut().ok().map(Arc::make_mut)
    }

    /// The pending work of reading the body, for another thread; `None` if it is done.
    pub fn unread(&self) -> Option<impl FnOnce() -> Reading + Send + 'static + use<>> {
        let body = self.reading.get().is_none().then(|| self.body.clone())?;
        Some(move || read(&body))
    }

    /// Stores the result of [`Call::unread`].
    pub fn set_reading(&mut self, reading: Reading) {
        // If another reader was first, it read the same body.
        let _ = self.reading.set(reading);
    }

    /// Refuses a body that cannot be read.
    pub fn readable(&self) -> Result<(), Failure> {
        self.messages();
        self.found_unreadable().map_or(Ok(()), Err)
    }

    /// Whether the body was read and turned out to be unreadable.
    pub fn is_unreadable(&self) -> bool {
        matches!(self.reading.get(), Some(Err(_)))
    }

    /// Whether reading it takes so long that other calls of the thread must not wait.
    pub fn is_large(&self) -> bool {
        self.body.len() + self.edited > LARGE
    }

    /// The client's error that a callback met: text that cannot be read.
    pub fn found_unreadable(&self) -> Option<Failure> {
        Some(self.reading.get()?.as_ref().err()?.into())
    }

    /// As [`Call::found_unreadable`], or an edit that failed because of the client's text.
    pub fn excuse(&self) -> Option<Failure> {
        self.found_unreadable().or_else(|| self.refused_edit.as_ref().map(Failure::from))
    }

    /// Clears the error before the next hook, which makes its own edits.
    pub fn forget_excuse(&mut self) {
        self.refused_edit = None;
    }

    /// Copies what a dropped clone found out about the client's text.
    pub fn learn(&mut self, clone: &Self) {
        if let Some(Err(unreadable)) = clone.reading.get() {
            self.reading = std::cell::OnceCell::from(Err(unreadable.clone()));
        }
        self.refused_edit.clone_from(&clone.refused_edit);
    }
}
