//! Applies callbacks' edits to the body.

use super::{Call, Reading, messages::Messages};
use bytes::Bytes;
use callgate_json::{Body, text};
use std::{cell::OnceCell, sync::Arc};

/// A body as it is sent, and its messages if they have been read.
pub struct Settled {
    body: Body,
    reading: Option<Reading>,
}

impl std::fmt::Debug for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settled").finish_non_exhaustive()
    }
}

impl Call {
    /// Writes edited messages into the body; needed before the body is read as a whole.
    pub fn settle_messages(&mut self) {
        if let Some(array) = self.read_messages().and_then(Messages::rendered) {
            self.body.set("messages", array);
        }
    }

    /// The same for a large body, as work for another thread. The original and its edits are both
    /// in memory, so the body is written out whole and only that is kept. `None` without edits.
    pub fn unsettled(&self) -> Option<impl FnOnce() -> Settled + Send + 'static + use<>> {
        let messages = self.reading.get().and_then(|reading| reading.as_ref().ok().cloned());
        let edited = messages.as_deref().is_some_and(Messages::is_edited);
        if !edited && !self.body.is_edited() {
            return None;
        }
        let (body, rendered) = (self.body.clone(), self.rendered.get().cloned());
        Some(move || {
            let whole = rendered.unwrap_or_else(|| whole(&body, messages.as_deref()));
            settled(whole, messages.is_some()).unwrap_or_else(|| as_it_is(body, messages))
        })
    }

    pub fn set_settled(&mut self, settled: Settled) {
        self.body = settled.body;
        self.reading = settled.reading.map(OnceCell::from).unwrap_or_default();
        self.rendered = OnceCell::new();
    }

    /// The body with all edits so far; empty if the client's body cannot be read.
    pub fn body_text(&self) -> &str {
        let Some(messages) = self.messages() else { return "" };
        if !messages.is_edited() && !self.body.is_edited() {
            return text(self.body.original());
        }
        text(self.rendered.get_or_init(|| whole(&self.body, Some(messages))))
    }

    /// The messages, if they have been read.
    fn read_messages(&self) -> Option<&Messages> {
        self.reading.get()?.as_deref().ok()
    }
}

fn whole(body: &Body, messages: Option<&Messages>) -> Bytes {
    match messages.and_then(Messages::pieces) {
        Some(pieces) if body.member("messages").is_some() => {
            body.rendered_with("messages", &pieces)
        }
        Some(pieces) => {
            let mut body = body.clone();
            body.set("messages", pieces.concat());
            body.rendered()
        }
        None => body.rendered(),
    }
}

fn settled(whole: Bytes, read: bool) -> Option<Settled> {
    let body = Body::parse(whole).ok()?;
    let array = body.member_bytes("messages").unwrap_or_default();
    let reading = if read { Some(Ok(Arc::new(Messages::cut(&array).ok()?))) } else { None };
    Some(Settled { body, reading })
}

/// Callbacks may have added more messages than a client may send, so they are not cut again.
fn as_it_is(mut body: Body, messages: Option<Arc<Messages>>) -> Settled {
    if let Some(array) = messages.as_deref().and_then(Messages::rendered) {
        body.set("messages", array);
    }
    Settled { body, reading: messages.map(Ok) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::call;

    /// Applies the same edits twice: once in place, once by writing the body out.
    #[test]
    fn a_large_body_is_settled_to_what_a_small_one_would_be() {
        for (json, edited) in [
            (r#"{ "model":"m", "messages" : [{"role":"user","content":"a"} , {}], "x":1 }"#, true),
            (r#"{"x":1,"x":2,"messages":[{"content":"a"}]}"#, true),
            (r#"{"messages":[{"content":"a"}],"tools":[{"a":1}]}"#, true),
            (r#"{"x":1,"x":2,"messages":[]}"#, false),
        ] {
            let mut call = call(Body::parse(json.into()).unwrap());
            if edited {
                call.edit_messages(1, |messages| messages.set_text(0, "b\n")).unwrap();
                call.edit_messages(1, |messages| messages.insert(0, "system", "s")).unwrap();
                call.set_param("new", "[1]").unwrap();
            }
            let settled = call.unsettled().unwrap()();
            let texts = |call: &Call| {
                let count = call.message_count();
                (0..count).map(|at| call.message_text(at).unwrap().to_owned()).collect::<Vec<_>>()
            };
            let before = (call.body_text().to_owned(), texts(&call));
            call.settle_messages();
            assert_eq!(call.body.rendered(), before.0, "{json}");
            call.set_settled(settled);
            assert_eq!(*call.body.original(), before.0, "{json}");
            assert_eq!((call.body_text().to_owned(), texts(&call)), before, "{json}");
            assert!(call.unsettled().is_none(), "{json}");
        }
    }
}
