//! Applies the rules to every text in a piece of JSON, in one pass and without a tree. Everything
//! that no rule changes stays byte for byte, also numbers and unknown members.

use crate::{
    growth::{GrowthLimit, with_spare},
    media,
    open_value::OpenValue,
    rule::Rule,
    scan::{decoded, is_of_number, skip_space, string_end, value_end},
    seams::Seams,
    shape,
    withheld::Withheld,
    words::{NAMES, NOT_WRITTEN, NUMBERS, WORDS, names_part_of_reply},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, ops::Range};

/// How deep JSON may be nested as text within JSON.
const DEEPEST: usize = 4;

/// The maximum length of JSON nested as text. Each depth holds one more copy of it.
const LONGEST_NESTED: usize = 8 << 20;

/// Names of the API are not longer than this.
const LONGEST_WORD: usize = 32;

/// The kind of a piece of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message of a request.
    Message,
    /// Another member of a request.
    Member,
    /// The arguments of a tool call.
    Arguments,
    /// A complete reply.
    Reply,
    /// A member of a streamed reply.
    Delta,
}

/// Returns a piece of JSON with the matches in every text and long number masked, or `None` if
/// nothing changed.
pub(crate) fn under(
    rules: &[Rule],
    json: &str,
    kind: Kind,
    room: &mut GrowthLimit,
) -> Result<Option<String>, Withheld> {
    Pass { rules, json, kind, nested: 0, room, done: None, seams: Seams::default() }.run()
}

/// A pass over one piece of JSON.
struct Pass<'a> {
    rules: &'a [Rule],
    json: &'a str,
    kind: Kind,
    nested: usize,
    room: &'a mut GrowthLimit,
    /// The output so far, and the end of the source that it covers. `None` as long as nothing
    /// changed.
    done: Option<(Vec<u8>, usize)>,
    /// The texts of a message's parts.
    seams: Seams<'a>,
}

impl<'a> Pass<'a> {
    fn run(mut self) -> Result<Option<String>, Withheld> {
        let bytes = self.json.as_bytes();
        let mut open: Vec<OpenValue<'a>> = Vec::new();
        let (mut at, mut in_name) = (0, false);
        while let Some(byte) = bytes.get(at) {
            let begins = !in_name
                && !matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' | b'}' | b']');
            if begins && self.kind == Kind::Reply && !shape::is_known(&open, *byte) {
                return Err(Withheld::Unreadable);
            }
            match byte {
                b'"' => {
                    let end = string_end(bytes, at + 1).ok_or(Withheld::Unreadable)?;
                    if in_name {
                        at = self.name(at..end, &mut open)?;
                        in_name = false;
                    } else {
                        self.value(at..end, &open)?;
                        at = end;
                    }
                    continue;
                }
                b'{' | b'[' => {
                    in_name = *byte == b'{';
                    let name = open.last().filter(|_| !in_name).map(|it| it.name.clone());
                    open.push(OpenValue { object: in_name, name: name.unwrap_or_default() });
                }
                b'}' | b']' => {
                    open.pop();
                    in_name = false;
                }
                b',' => in_name = open.last().is_some_and(|it| it.object),
                _ if begins => {
                    let end = value_end(bytes, at).ok_or(Withheld::Unreadable)?;
                    if is_of_number(*byte) {
                        self.number(at..end, &open)?;
                    }
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += 1;
        }
        if !open.is_empty() {
            return Err(Withheld::Unreadable);
        }
        self.seams.judged(self.rules)?;
        let Some((mut done, from)) = self.done else { return Ok(None) };
        done.extend_from_slice(&bytes[from..]);
        String::from_utf8(done).map(Some).map_err(|_| Withheld::Unreadable)
    }

    /// Processes a member's name. Returns the place where the pass continues.
    fn name(&mut self, place: Range<usize>, open: &mut [OpenValue<'a>]) -> Result<usize, Withheld> {
        let json = self.json;
        let name = decoded(&json[place.clone()])?;
        let mut at = place.end;
        let is_reply = matches!(self.kind, Kind::Reply | Kind::Delta);
        if is_reply && (NOT_WRITTEN.contains(&&*name) || shape::repeats(&name)) {
            at = self.not_shown(at, shape::repeats(&name))?;
        }
        let kept = short(&name);
        let is_word = if is_reply { names_part_of_reply(&name) } else { NAMES.contains(&&*name) };
        if !is_word {
            // Do not hold a second copy of a long name while it is masked.
            self.string(place, name)?;
        }
        if let Some(innermost) = open.last_mut() {
            innermost.name = kept;
        }
        Ok(at)
    }

    /// Passes over the value behind a name that ends at `at`, and puts null in its place where it
    /// repeats a text.
    fn not_shown(&mut self, at: usize, repeats: bool) -> Result<usize, Withheld> {
        let json = self.json;
        let value = skip_space(json.as_bytes(), at);
        let value = skip_space(json.as_bytes(), value + 1);
        let end = value_end(json.as_bytes(), value).ok_or(Withheld::Unreadable)?;
        if repeats && &json[value..end] != "null" {
            self.put(value..end, |done| {
                done.extend_from_slice(b"null");
                Ok(())
            })?;
        }
        Ok(end)
    }

    fn value(&mut self, place: Range<usize>, open: &[OpenValue<'a>]) -> Result<(), Withheld> {
        let json = self.json;
        let inside = &json[place.start + 1..place.end - 1];
        if WORDS.contains(&inside) || self.may_hold_media(open) && media::is_data(inside) {
            return Ok(());
        }
        let is_arguments = open.last().is_some_and(|it| it.name == "arguments");
        if is_arguments && place.len() > LONGEST_NESTED {
            return Err(Withheld::TooLarge);
        }
        let text = decoded(&json[place.clone()])?;
        if is_arguments && self.nested < DEEPEST && serde_json::from_str::<&RawValue>(&text).is_ok()
        {
            let (rules, kind, nested) = (self.rules, Kind::Arguments, self.nested + 1);
            let (room, seams) = (&mut *self.room, Seams::default());
            let pass = Pass { rules, json: &text, kind, nested, room, done: None, seams };
            return match pass.run()? {
                Some(masked) => self.put_text(place, &masked),
                None => Ok(()),
            };
        }
        let text = self.string(place, text)?;
        if self.kind == Kind::Message && is_text_of_a_part(open) {
            self.seams.add(text);
        }
        Ok(())
    }

    /// Returns whether the data of a picture, sound or file may stand here. That is only so in the
    /// part of a message; elsewhere a member of that name is text like any other.
    fn may_hold_media(&self, open: &[OpenValue<'_>]) -> bool {
        match (self.kind, open) {
            (Kind::Message, [message, parts, inner @ ..]) => {
                let inner: Vec<_> = inner.iter().take(3).collect();
                message.name == "content" && !parts.object && media::is_place(&inner)
            }
            (Kind::Reply | Kind::Delta, [.., holder, inner]) => {
                media::is_place(&[holder, inner]) || media::is_place(&[inner])
            }
            (Kind::Reply | Kind::Delta, [inner]) => media::is_place(&[inner]),
            _ => false,
        }
    }

    /// Masks a string of the source, whose decoded form is `text`. Returns the result.
    fn string<'t>(
        &mut self,
        place: Range<usize>,
        text: Cow<'t, str>,
    ) -> Result<Cow<'t, str>, Withheld> {
        let (text, changed) = masked(self.rules, text, self.room)?;
        if changed {
            self.put_text(place, &text)?;
        }
        Ok(text)
    }

    /// Masks a number. The mask is a text.
    fn number(&mut self, place: Range<usize>, open: &[OpenValue<'_>]) -> Result<(), Withheld> {
        const FEWEST: usize = 4;
        let steers = || matches!(open, [only] if NUMBERS.contains(&&*only.name));
        if place.len() < FEWEST || self.kind == Kind::Member && steers() {
            return Ok(());
        }
        let json = self.json;
        self.string(place.clone(), json[place].into()).map(drop)
    }

    /// Replaces a value with a text.
    fn put_text(&mut self, place: Range<usize>, text: &str) -> Result<(), Withheld> {
        self.put(place, |done| serde_json::to_writer(done, text).map_err(|_| Withheld::Unreadable))
    }

    fn put(
        &mut self,
        place: Range<usize>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Withheld>,
    ) -> Result<(), Withheld> {
        let (done, from) =
            self.done.get_or_insert_with(|| (Vec::with_capacity(with_spare(self.json.len())), 0));
        done.extend_from_slice(&self.json.as_bytes()[*from..place.start]);
        let start = done.len();
        write(done)?;
        *from = place.end;
        self.room.take(place.len(), done.len() - start)
    }
}

/// Returns a name that may be a name of the API, or an empty text for a longer one.
fn short<'a>(name: &Cow<'a, str>) -> Cow<'a, str> {
    if name.len() <= LONGEST_WORD { name.clone() } else { Cow::Borrowed("") }
}

/// Returns whether this is the text of a part of a message.
fn is_text_of_a_part(open: &[OpenValue<'_>]) -> bool {
    match open {
        [message, parts, inner @ ..] if message.name == "content" && !parts.object => {
            inner.is_empty() || matches!(inner, [part] if part.name == "text")
        }
        _ => false,
    }
}

/// Returns a text after all rules, and whether one changed it.
pub(crate) fn masked<'t>(
    rules: &[Rule],
    mut text: Cow<'t, str>,
    room: &GrowthLimit,
) -> Result<(Cow<'t, str>, bool), Withheld> {
    let mut changed = false;
    for rule in rules {
        if let Some(masked) = rule.whole(&text, room.after(text.len()))? {
            text = masked.into();
            changed = true;
        }
    }
    Ok((text, changed))
}
