//! A chat's stream as the events of another API.

use super::{AnswerFault, StreamTranslator, Usage};
use crate::ChunkSink;

/// Turns a chat's chunks into events.
pub(super) trait ChatEvents: Send {
    /// Takes a `chat.completion.chunk`.
    fn chunk(&mut self, json: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault>;

    /// Called once the chat is complete.
    fn end(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault>;
}

/// Writes the events of these chunks, to their end.
pub(super) fn write<'c>(
    mut events: impl ChatEvents,
    chunks: impl IntoIterator<Item = &'c [u8]>,
    out: &mut dyn ChunkSink,
) -> Result<(), AnswerFault> {
    for chunk in chunks {
        events.chunk(chunk, out)?;
    }
    events.end(out)
}

/// The stream of an upstream's dialect, and the events that its chunks become.
pub(super) struct EventStream<E> {
    chat: Box<dyn StreamTranslator>,
    events: E,
    is_ended: bool,
}

/// Gives the dialect's chunks to the events; keeps the first fault.
struct Turning<'a, E> {
    events: &'a mut E,
    out: &'a mut dyn ChunkSink,
    fault: Result<(), AnswerFault>,
}

impl<E: ChatEvents> ChunkSink for Turning<'_, E> {
    fn chunk(&mut self, json: &[&[u8]]) {
        if self.fault.is_ok() {
            self.fault = match json {
                [whole] => self.events.chunk(whole, self.out),
                parts => self.events.chunk(&parts.concat(), self.out),
            };
        }
    }
}

impl<E: ChatEvents + 'static> EventStream<E> {
    pub(super) fn of(chat: Box<dyn StreamTranslator>, events: E) -> Box<dyn StreamTranslator> {
        Box::new(Self { chat, events, is_ended: false })
    }

    /// Ends the events once, after the chat's last chunk.
    fn end(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        if std::mem::replace(&mut self.is_ended, true) {
            return Ok(());
        }
        self.events.end(out)
    }
}

impl<E: ChatEvents + 'static> StreamTranslator for EventStream<E> {
    fn push(&mut self, bytes: &[u8], out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let mut turning = Turning { events: &mut self.events, out, fault: Ok(()) };
        let pushed = self.chat.push(bytes, &mut turning);
        // What came first counts.
        turning.fault?;
        pushed?;
        if self.chat.complete() { self.end(out) } else { Ok(()) }
    }

    fn close(&mut self, out: &mut dyn ChunkSink) -> Result<(), AnswerFault> {
        let mut turning = Turning { events: &mut self.events, out, fault: Ok(()) };
        let closed = self.chat.close(&mut turning);
        turning.fault?;
        closed?;
        self.end(out)
    }

    fn complete(&self) -> bool {
        self.chat.complete()
    }

    fn events(&self) -> u64 {
        self.chat.events()
    }

    fn content(&self) -> bool {
        self.chat.content()
    }

    fn usage(&self) -> Option<Usage> {
        self.chat.usage()
    }

    fn backlog(&self) -> usize {
        self.chat.backlog()
    }
}
