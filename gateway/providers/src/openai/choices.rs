//! Decides whether a response is complete: one rule for JSON replies, for streams, and for a reply
//! of one kind in place of the other.
//!
//! A response has at least one choice, and none that is marked as unfinished (by a `finish_reason`
//! that is null or empty). Its end is marked by the last byte of a JSON reply or by a stream's
//! `[DONE]`. If a stream just closes, as many choices as were asked for must have come, each with a
//! finish reason.

use super::error_instead::error_instead;
use crate::AnswerFault;
use callgate_json::{
    slices::{Members, elements, is_blank, members, members_of_only},
    walk::string_end,
};
use std::{collections::BTreeMap, ops::Range};

/// More choices than any upstream sends.
const MAX_CHOICES: usize = 1024;

/// The choices of one response, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Choices {
    seen: BTreeMap<u64, Ending>,
    /// Some content has come, or a choice has ended.
    content: bool,
    /// The `message` of a choice is not an object.
    without_message: bool,
    usual: Option<Usual>,
    /// The position of the text in the last chunk, if it added only text.
    text: Option<Range<usize>>,
    #[cfg(test)]
    pub(super) walked: usize,
}

/// The state of a choice's `finish_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It has no such member.
    Silent,
    /// It is unfinished.
    Open,
    Finished,
}

/// The previous chunk, around its text. A chunk that differs only in the text brings nothing new.
#[derive(Debug)]
struct Usual {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerEnd {
    /// With its own end mark.
    Marked,
    /// The upstream closed; so many choices were asked for.
    Closed { asked: u64 },
}

impl Choices {
    /// Takes the `choices` of a chunk or a reply, which is valid JSON; returns whether one has a
    /// `message`.
    pub(super) fn see(&mut self, json: &[u8]) -> Result<bool, AnswerFault> {
        if self.content
            && let Some(usual) = &self.usual
            && usual.is_like(json)
        {
            self.text = Some(usual.before.len()..json.len() - usual.after.len());
            return Ok(false);
        }
        if json.first() != Some(&b'[') {
            return Err(malformed("`choices` that is not a list"));
        }
        #[cfg(test)]
        {
            self.walked += json.len();
        }
        (self.usual, self.text) = (None, None);
        let (mut count, mut last, mut messages) = (0, None, false);
        for choice in elements(json) {
            let choice = Choice::read(choice, count)?;
            messages |= choice.message;
            self.without_message |= !choice.whole_message;
            self.content |= choice.ending == Ending::Finished || choice.says_something();
            let ending = self.seen.entry(choice.index).or_insert(choice.ending);
            // A choice that was unfinished does not end by omitting the member.
            if *ending != Ending::Finished && choice.ending != Ending::Silent {
                *ending = choice.ending;
            }
            if self.seen.len() > MAX_CHOICES {
                return Err(malformed("more than 1024 choices"));
            }
            count += 1;
            last = Some(choice);
        }
        if let (1, Some(choice)) = (count, last)
            && choice.ending != Ending::Finished
            && !choice.message
        {
            self.usual = choice.delta.and_then(|delta| Usual::of(json, delta));
            let text = |usual: &Usual| usual.before.len()..json.len() - usual.after.len();
            self.text = self.usual.as_ref().map(text);
        }
        Ok(messages)
    }

    /// The position of the text in the latest `choices`, if they added only text to a response that
    /// has begun. Choices that differ only in that text need not be scanned.
    pub(super) fn added_text(&self) -> Option<Range<usize>> {
        self.text.clone().filter(|_| self.content)
    }

    /// Whether any content has come.
    pub(super) fn content(&self) -> bool {
        self.content
    }

    /// Whether the response is complete; the error names the missing part.
    pub(super) fn whole(&self, end: AnswerEnd) -> Result<(), String> {
        if self.seen.is_empty() {
            return Err("it has no choice".to_owned());
        }
        let unfinished = |ending: Ending| match end {
            AnswerEnd::Marked => ending == Ending::Open,
            AnswerEnd::Closed { .. } => ending != Ending::Finished,
        };
        if let Some((index, _)) = self.seen.iter().find(|(_, ending)| unfinished(**ending)) {
            return Err(no_finish_reason(*index));
        }
        match end {
            AnswerEnd::Closed { asked } if (self.seen.len() as u64) < asked => {
                Err(format!("{} of the {asked} requested choices came", self.seen.len()))
            }
            _ => Ok(()),
        }
    }
}

/// One choice.
#[derive(Debug)]
struct Choice<'a> {
    index: u64,
    ending: Ending,
    /// The `delta` of a chunk, or the `message` of a whole reply.
    delta: Option<&'a [u8]>,
    message: bool,
    /// Whether its `message` is an object.
    whole_message: bool,
}

impl<'a> Choice<'a> {
    fn read(json: &'a [u8], position: u64) -> Result<Self, AnswerFault> {
        if json.first() != Some(&b'{') {
            return Err(malformed("a choice that is not an object"));
        }
        Self::of(&mut members(json), position)
    }

    /// Reads its members to their end.
    fn of(members: &mut Members<'a>, position: u64) -> Result<Self, AnswerFault> {
        let ending = Ending::Silent;
        let mut choice =
            Self { index: position, ending, delta: None, message: false, whole_message: false };
        let mut text = false;
        for (name, value) in members {
            if name.is("index") {
                let text = std::str::from_utf8(value).unwrap_or_default();
                let wrong = |_| malformed("a choice whose `index` is not a number");
                choice.index = text.parse().map_err(wrong)?;
            } else if name.is("finish_reason") {
                let said = value.first() == Some(&b'"') && !is_blank(value);
                choice.ending = if said { Ending::Finished } else { Ending::Open };
            } else if name.is("delta") {
                choice.delta = Some(value);
            } else if name.is("message") {
                choice.delta = choice.delta.or(Some(value));
                choice.message = true;
                choice.whole_message = value.first() == Some(&b'{');
            } else if name.is("text") {
                text = !is_blank(value);
            } else if name.is("error") && !is_blank(value) {
                // Routers in front of several upstreams report here which one failed.
                return Err(error_instead(value, "a choice with an error without a message"));
            }
        }
        if text && choice.delta.is_none() {
            return Err(malformed("a choice without a `message` or a `delta`, which has `text`"));
        }
        Ok(choice)
    }

    /// Judges the only choice of a whole completion.
    fn is_complete(&self) -> Result<(), AnswerFault> {
        if !self.whole_message {
            return Err(malformed(WITHOUT_MESSAGE));
        }
        if self.ending == Ending::Open {
            return Err(AnswerFault::Incomplete(no_finish_reason(self.index)));
        }
        Ok(())
    }

    fn says_something(&self) -> bool {
        let said = members(self.delta.unwrap_or_default());
        said.into_iter().any(|(name, value)| !name.is("role") && !is_blank(value))
    }
}

impl Usual {
    /// Splits the JSON at the last text of `delta`, which is a part of `json`.
    fn of(json: &[u8], delta: &[u8]) -> Option<Self> {
        let start = (delta.as_ptr() as usize).checked_sub(json.as_ptr() as usize)?;
        let (mut at, mut text) = (start, None);
        while at < start + delta.len() {
            if json.get(at) == Some(&b'"') {
                let end = string_end(json, at + 1)?;
                let is_name = json.get(end + 1..)?.trim_ascii_start().first() == Some(&b':');
                text = if is_name { text } else { Some((at + 1, end)) };
                at = end;
            }
            at += 1;
        }
        let (from, to) = text?;
        Some(Self { before: json.get(..from)?.to_vec(), after: json.get(to..)?.to_vec() })
    }

    fn is_like(&self, json: &[u8]) -> bool {
        json.strip_prefix(&*self.before)
            .and_then(|rest| rest.get(string_end(rest, 0)?..))
            .is_some_and(|rest| rest == &*self.after)
    }
}

/// Judges the `choices` of a whole completion, each of which has a message.
pub(super) fn of_completion(json: &[u8]) -> Result<(), AnswerFault> {
    // Almost always there is only one.
    if let Some(mut members) = members_of_only(json) {
        let choice = Choice::of(&mut members, 0)?;
        if members.were_all() {
            return choice.is_complete();
        }
    }
    all_of_completion(json)
}

fn all_of_completion(json: &[u8]) -> Result<(), AnswerFault> {
    let mut choices = Choices::default();
    choices.see(json)?;
    if choices.without_message {
        return Err(malformed(WITHOUT_MESSAGE));
    }
    choices.whole(AnswerEnd::Marked).map_err(AnswerFault::Incomplete)
}

const WITHOUT_MESSAGE: &str = "a choice without a `message`";

fn no_finish_reason(index: u64) -> String {
    format!("choice {index} has no finish reason")
}

fn malformed(what: &str) -> AnswerFault {
    AnswerFault::Malformed(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(chunks: &[&str], end: AnswerEnd) -> Result<(), String> {
        let mut choices = Choices::default();
        for chunk in chunks {
            choices.see(chunk.as_bytes()).map_err(|fault| format!("{fault:?}"))?;
        }
        choices.whole(end)
    }

    #[test]
    fn an_answer_is_whole_when_all_its_choices_have_ended() {
        let open = r#"[{"index":0,"delta":{"content":"a"},"finish_reason":null}]"#;
        let ended = r#"[{"index":0,"delta":{},"finish_reason":"stop"}]"#;
        let other = r#"[{"index":1,"delta":{"content":"a"},"finish_reason":null}]"#;
        let other_ended = r#"[{"index":1,"delta":{},"finish_reason":"length"}]"#;
        let silent = r#"[{"index":0,"delta":{"content":"a"}}]"#;
        let empty = r#"[{"index":0,"delta":{},"finish_reason":""}]"#;
        let nested = r#"[{"index":0,"delta":{"x":{"finish_reason":"stop"},"content":"\"finish_reason\":\"stop\""},"finish_reason":null}]"#;
        let twice = r#"[{"index":0,"finish_reason":"stop","finish_reason":null}]"#;
        let escaped = r#"[{"index":0,"finish\u005freason":"stop"}]"#;
        for (chunks, marked, closed, closed_of_two) in [
            (&[][..], false, false, false),
            (&["[]"], false, false, false),
            (&[open], false, false, false),
            (&[open, ended], true, true, false),
            (&[ended, open], true, true, false),
            (&[open, ended, other], false, false, false),
            (&[open, other, ended, other_ended], true, true, true),
            (&[silent], true, false, false),
            (&[silent, ended], true, true, false),
            (&[open, silent], false, false, false),
            (&[silent, open], false, false, false),
            (&[empty], false, false, false),
            (&[nested], false, false, false),
            (&[twice], false, false, false),
            (&[escaped], true, true, false),
            (&[r#"[{"finish_reason":"a","error":null}]"#], true, true, false),
            (&[r#"[{"finish_reason":7}]"#], false, false, false),
            (&[r#"[{"finish_reason":"a"},{"finish_reason":"b"}]"#], true, true, true),
        ] {
            let ends = [
                (AnswerEnd::Marked, marked),
                (AnswerEnd::Closed { asked: 1 }, closed),
                (AnswerEnd::Closed { asked: 2 }, closed_of_two),
            ];
            for (end, expected) in ends {
                assert_eq!(after(chunks, end).is_ok(), expected, "{chunks:?} {end:?}");
            }
        }
    }

    #[test]
    fn values_that_are_not_lists_of_choices_are_reported() {
        let many = format!("[{}]", vec![r#"{"finish_reason":"stop"}"#; 1025].join(","));
        for (json, expected) in [
            ("{}", "`choices` that is not a list"),
            ("7", "`choices` that is not a list"),
            ("[7]", "a choice that is not an object"),
            (r#"[{"index":"0"}]"#, "`index` is not a number"),
            (r#"[{"index":-1}]"#, "`index` is not a number"),
            (&many, "more than 1024"),
            (r#"[{"finish_reason":"error","error":{"code":"502","message":"m"}}]"#, "Upstream"),
            (r#"[{"error":true}]"#, "an error without a message"),
        ] {
            let error = after(&[json], AnswerEnd::Marked).unwrap_err();
            assert!(error.contains(expected), "{json:.40}: {error}");
        }
    }

    #[test]
    fn content_begins_with_the_first_text() {
        for (json, expected) in [
            (r#"[{"delta":{"role":"assistant","content":""},"finish_reason":null}]"#, false),
            (r#"[{"delta":{"role":"assistant","content":null,"tool_calls":[]}}]"#, false),
            (r#"[{"delta":{},"finish_reason":null}]"#, false),
            ("[]", false),
            (r#"[{"delta":{"content":" "}}]"#, true),
            (r#"[{"delta":{"reasoning":"a"}}]"#, true),
            (r#"[{"delta":{"tool_calls":[{"index":0}]}}]"#, true),
            (r#"[{"delta":{},"finish_reason":"stop"}]"#, true),
        ] {
            let mut choices = Choices::default();
            choices.see(json.as_bytes()).unwrap();
            assert_eq!(choices.content(), expected, "{json}");
        }
    }

    #[test]
    fn chunks_that_differ_in_their_text_alone_are_walked_once() {
        let tool = |text: &str| {
            format!(
                r#"[{{"index":0,"delta":{{"tool_calls":[{{"index":0,"function":{{"arguments":"{text}"}}}}]}},"finish_reason":null}}]"#
            )
        };
        let plain = |text: &str| {
            format!(r#"[{{"index": 0, "delta": {{"content": "{text}"}}, "finish_reason": null}}]"#)
        };
        for chunk in [&tool as &dyn Fn(&str) -> String, &plain] {
            let mut choices = Choices::default();
            choices.see(chunk("a").as_bytes()).unwrap();
            let first = choices.walked;
            for text in ["b", "", r#"\"finish_reason\":\"stop\"}"#, "é\\\\", &"x".repeat(1000)] {
                choices.see(chunk(text).as_bytes()).unwrap();
            }
            assert_eq!(choices.walked, first);
            let ended = chunk(r#""}}],"finish_reason":"stop"#);
            let _ = choices.see(ended.replace("null", "\"stop\"").as_bytes());
            assert!(choices.walked > first);
        }
    }

    #[test]
    fn a_completion_has_a_message_for_every_choice() {
        for (json, expected) in [
            (r#"[{"message":{},"finish_reason":"stop"},{"message":{"content":"a"}}]"#, None),
            (r#"[{"message":{}},{}]"#, Some("without a `message`")),
            (r#"[{"message":null}]"#, Some("without a `message`")),
            (r#"[{"text":"a"}]"#, Some("without a `message`")),
            (r#"[{"message":{},"finish_reason":null}]"#, Some("choice 0 has no finish reason")),
            (r#"[{"message":{},"finish_reason":""}]"#, Some("choice 0 has no finish reason")),
            ("[]", Some("it has no choice")),
            ("null", Some("not a list")),
        ] {
            let fault = of_completion(json.as_bytes()).err().map(|fault| format!("{fault:?}"));
            let as_expected = match (&fault, expected) {
                (Some(fault), Some(expected)) => fault.contains(expected),
                (fault, expected) => fault.is_none() && expected.is_none(),
            };
            assert!(as_expected, "{json}: {fault:?}");
        }
    }

    /// The shortcut for a single choice must not judge differently.
    #[test]
    fn one_choice_is_judged_as_one_of_several_is() {
        let parts = [
            r#""index":3"#,
            r#""index":"x""#,
            r#""finish_reason":"stop""#,
            r#""finish_reason":null"#,
            r#""message":{"content":"}]"}"#,
            r#""message":1"#,
            r#""delta":{}"#,
            r#""text":"a""#,
            r#""error":{"message":"m"}"#,
        ];
        for some in 0..1 << parts.len() {
            let chosen = parts.iter().enumerate().filter(|(at, _)| some >> at & 1 == 1);
            let members: Vec<_> = chosen.map(|(_, part)| *part).collect();
            for json in [
                format!("[{{{}}}]", members.join(",")),
                format!(" [ {{ {} }} ] ", members.join(" , ")),
                format!("[{{{}}},{{\"message\":{{}}}}]", members.join(",")),
            ] {
                let judged = [of_completion, all_of_completion].map(|judge| {
                    judge(json.trim().as_bytes()).map_err(|fault| format!("{fault:?}"))
                });
                assert_eq!(judged[0], judged[1], "{json}");
            }
        }
    }
}
