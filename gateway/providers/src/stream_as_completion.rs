//! A stream in place of a JSON reply: its chunks combined into a completion.

use super::{
    AnswerFault, CompletionBuilder, Dialect, Echo, StreamRequest, StreamTranslator, Translated,
    Usage, error_text::read_error, openai,
};

/// Collects a body that is not a JSON object, as it arrives.
pub struct CompletionFromStream<'a> {
    dialect: &'a dyn Dialect,
    echo: &'a Echo,
    choices: u64,
    /// Boxed, because it is rare and every call's future would have room for it.
    begun: Option<Box<Begun>>,
}

impl std::fmt::Debug for CompletionFromStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Together").finish_non_exhaustive()
    }
}

struct Begun {
    stream: Box<dyn StreamTranslator>,
    whole: CompletionBuilder,
    fault: Option<AnswerFault>,
}

impl<'a> CompletionFromStream<'a> {
    pub fn new(dialect: &'a dyn Dialect, echo: &'a Echo, choices: u64) -> Self {
        Self { dialect, echo, choices, begun: None }
    }

    /// Takes the next piece; returns whether the stream has ended. Streams have an end mark, and
    /// some servers leave the connection open after it.
    pub fn push(&mut self, piece: &[u8]) -> bool {
        let begun = self.begun.get_or_insert_with(|| {
            let asked = StreamRequest { usage: true, choices: self.choices };
            let stream = self.dialect.stream(self.echo, asked);
            Box::new(Begun { stream, whole: CompletionBuilder::default(), fault: None })
        });
        let Begun { stream, whole, fault } = &mut **begun;
        if fault.is_none() {
            *fault = stream.push(piece, whole).err();
        }
        match fault {
            // The rest of the body may show what it is instead.
            Some(AnswerFault::Other(_)) => false,
            Some(AnswerFault::Malformed(_)) => stream.events() > 0,
            Some(_) => true,
            None => stream.complete(),
        }
    }

    /// Whether it was recognised as a stream.
    pub fn has_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Ends the stream and checks that it is complete. `body` is the whole body; it is not needed
    /// any more afterwards. `Other` if it is not a stream either.
    pub fn end(mut self, body: &[u8]) -> Result<EndedStream<'a>, AnswerFault> {
        if let Some(error) = read_error(body) {
            return Err(AnswerFault::Upstream(error));
        }
        if self.begun.is_none() {
            self.push(body);
        }
        let Some(begun) = self.begun else {
            return Err(AnswerFault::Other(openai::NO_COMPLETION));
        };
        let Begun { mut stream, mut whole, mut fault } = *begun;
        if fault.is_none() && !stream.complete() {
            fault = stream.close(&mut whole).err();
        }
        match fault {
            Some(AnswerFault::Malformed(_)) if stream.events() == 0 => {
                return Err(AnswerFault::Other("no stream"));
            }
            Some(fault) => return Err(fault),
            None => {}
        }
        whole.judge()?;
        Ok(EndedStream { whole, usage: stream.usage(), echo: self.echo })
    }
}

/// A complete stream, to be written as a completion.
pub struct EndedStream<'a> {
    whole: CompletionBuilder,
    usage: Option<Usage>,
    echo: &'a Echo,
}

impl std::fmt::Debug for EndedStream<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EndedStream").finish_non_exhaustive()
    }
}

impl EndedStream<'_> {
    pub fn completion(self) -> Translated {
        Translated { body: [self.whole.completion(self.echo).into()].into(), usage: self.usage }
    }
}

#[cfg(test)]
mod tests;
