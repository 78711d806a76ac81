//! Splits a leading `<think>…</think>` block from the answer after it.
//!
//! Models without a reasoning parser write their reasoning into the content, and a stream may be
//! split anywhere, even inside a tag. Only a block at the beginning of the message counts: later in
//! the text, the model only quotes a tag. Called by `reply`, `stream` and, for earlier assistant
//! turns, `messages`.

use std::{borrow::Cow, mem};

const TAGS: [Tag; 3] = [
    Tag { open: "<think>", close: "</think>" },
    Tag { open: "<thinking>", close: "</thinking>" },
    Tag { open: "<budget:thinking>", close: "</budget:thinking>" },
];

/// The most white space, in bytes, that is held back at the beginning until it is clear whether a
/// tag follows.
const LEAD_LIMIT: usize = 256;

/// Text divided into reasoning and answer; either may be empty.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) reasoning: String,
    pub(super) content: String,
}

impl Split {
    pub(super) fn is_empty(&self) -> bool {
        self.reasoning.is_empty() && self.content.is_empty()
    }
}

/// Splits a whole message. A block that is never closed is reasoning to its end.
pub(super) fn split<'a>(text: impl Into<Cow<'a, str>>) -> Split {
    let mut splitter = Splitter::default();
    let mut whole = splitter.push(text);
    let rest = splitter.finish();
    whole.reasoning.push_str(&rest.reasoning);
    whole.content.push_str(&rest.content);
    whole
}

/// The splitter of one stream. Nothing is lost or reordered: [`push`](Self::push) and
/// [`finish`](Self::finish) return the whole text, without the tags and the white space before the
/// first one.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    state: State,
    /// Text that may turn out to be a tag.
    held: String,
}

impl Splitter {
    /// Whether everything from here on is answer, so that nothing more has to be pushed.
    pub(super) fn passes(&self) -> bool {
        matches!(self.state, State::Passing)
    }

    pub(super) fn push<'a>(&mut self, text: impl Into<Cow<'a, str>>) -> Split {
        let (mut rest, text) = (mem::take(&mut self.held), text.into());
        if rest.is_empty() {
            rest = text.into_owned();
        } else {
            rest.push_str(&text);
        }
        match self.state {
            State::Leading => self.lead(rest),
            State::Inside(tag) => self.inside(tag, rest),
            State::Passing => Split { content: rest, ..Split::default() },
        }
    }

    /// Whether text that begins with no tag can pass without decoding: text at the beginning that
    /// is more than white space, or longer than the white space that is held back, by its escaped
    /// length.
    pub(super) fn passes_without_tag(&mut self, is_lead: bool, escaped_length: usize) -> bool {
        /// The length of a white space character as an escape.
        const LONGEST_ESCAPE: usize = 6;
        let at_start = matches!(self.state, State::Leading) && self.held.is_empty();
        let passes = at_start && (!is_lead || escaped_length > LONGEST_ESCAPE * LEAD_LIMIT);
        if passes {
            self.state = State::Passing;
        }
        passes
    }

    /// Returns the text still held back; later text is answer.
    pub(super) fn finish(&mut self) -> Split {
        let held = mem::take(&mut self.held);
        match mem::replace(&mut self.state, State::Passing) {
            State::Inside(_) => Split { reasoning: held, ..Split::default() },
            State::Leading | State::Passing => Split { content: held, ..Split::default() },
        }
    }

    fn lead(&mut self, mut text: String) -> Split {
        let start = text.trim_ascii_start();
        for tag in TAGS {
            if let Some(after) = start.strip_prefix(tag.open) {
                self.state = State::Inside(tag);
                text.drain(..text.len() - after.len());
                return self.inside(tag, text);
            }
        }
        if text.len() <= LEAD_LIMIT && TAGS.iter().any(|tag| tag.open.starts_with(start)) {
            self.held = text;
            return Split::default();
        }
        self.state = State::Passing;
        Split { content: text, ..Split::default() }
    }

    fn inside(&mut self, tag: Tag, mut text: String) -> Split {
        if let Some((reasoning, content)) = text.split_once(tag.close) {
            self.state = State::Passing;
            let (end, content) = (reasoning.len(), content.to_owned());
            text.truncate(end);
            return Split { reasoning: text, content };
        }
        self.held = text.split_off(text.len() - partial_tail(&text, tag.close));
        Split { reasoning: text, ..Split::default() }
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Leading,
    Inside(Tag),
    Passing,
}

#[derive(Debug, Clone, Copy)]
struct Tag {
    open: &'static str,
    close: &'static str,
}

/// The length of the longest end of `text` that is an incomplete beginning of `close`.
fn partial_tail(text: &str, close: &str) -> usize {
    (1..close.len()).rev().find(|&length| text.ends_with(&close[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{LEAD_LIMIT, Split, Splitter, split};

    const VECTORS: [(&str, &str, &str); 14] = [
        ("<think>secret</think>Answer", "secret", "Answer"),
        ("<thinking>s</thinking>\n\nA", "s", "\n\nA"),
        ("<budget:thinking>s</budget:thinking>A", "s", "A"),
        ("\n <think>s</think>A", "s", "A"),
        ("<think></think>A", "", "A"),
        ("<think>never closed </thin", "never closed </thin", ""),
        ("<think>a </thinking> b</think>c", "a </thinking> b", "c"),
        ("<think>a<</</think>c", "a<</", "c"),
        ("plain", "", "plain"),
        ("  plain", "", "  plain"),
        ("<thin", "", "<thin"),
        ("<b>bold</b>", "", "<b>bold</b>"),
        ("about <think>tags</think>", "", "about <think>tags</think>"),
        ("<think>é</think>ü<think>x</think>", "é", "ü<think>x</think>"),
    ];

    #[test]
    fn whole_messages() {
        for (text, reasoning, content) in VECTORS {
            let expected = Split { reasoning: reasoning.to_owned(), content: content.to_owned() };
            assert_eq!(split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn any_cut_of_a_stream_gives_the_same_split() {
        for (text, reasoning, content) in VECTORS {
            let cuts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            for &first in &cuts {
                for &second in cuts.iter().filter(|&&second| second >= first) {
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    let (found_reasoning, found_content) = feed(pieces.into_iter());
                    assert_eq!(found_reasoning, reasoning, "{pieces:?}");
                    assert_eq!(found_content, content, "{pieces:?}");
                }
            }
            let one_by_one = feed(cuts.iter().map(|&at| {
                let end = at + text[at..].chars().next().map_or(0, char::len_utf8);
                &text[at..end]
            }));
            assert_eq!(one_by_one, (reasoning.to_owned(), content.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn endless_white_space_is_not_held_for_ever() {
        let mut splitter = Splitter::default();
        let split = splitter.push(" ".repeat(LEAD_LIMIT + 1));
        assert_eq!(split.content.len(), LEAD_LIMIT + 1);
        assert!(splitter.passes());
    }

    fn feed<'a>(pieces: impl Iterator<Item = &'a str>) -> (String, String) {
        let mut splitter = Splitter::default();
        let mut splits: Vec<Split> = pieces.map(|piece| splitter.push(piece)).collect();
        splits.push(splitter.finish());
        splits.iter().fold(Default::default(), |(reasoning, content), split| {
            (reasoning + &split.reasoning, content + &split.content)
        })
    }
}
