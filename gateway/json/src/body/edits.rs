//! Edits on top of a body that stays unchanged: the changes for one attempt to send it.
//!
//! The methods are the same as those of [`Body`], at the same cost.

use super::{Body, Entry, HANDFUL, NameDigest, Slices, Value, assembly::Layers};
use crate::passed;
use bytes::Bytes;
use smallvec::SmallVec;
use std::{borrow::Cow, collections::HashMap};

/// Room for so many members without an allocation; most requests have fewer.
const USUAL: usize = 16;

/// Edits on top of a body.
#[derive(Debug)]
pub struct Edits<'b> {
    body: &'b Body,
    /// Edits by the index of the body's entries; empty before the first edit. [`Value::Original`]
    /// means unedited.
    over: SmallVec<[Value; USUAL]>,
    /// Members to add to the body.
    added: Vec<Entry>,
}

impl<'b> Edits<'b> {
    /// No edits yet.
    #[must_use]
    pub fn of(body: &'b Body) -> Self {
        Self { body, over: SmallVec::new(), added: Vec::new() }
    }

    /// The JSON text of a member's value.
    pub fn member(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let (entry, value) = self.entry(name)?;
        self.body.json(entry, value)
    }

    /// As [`Edits::member`], always borrowed; joins a body that arrived in pieces if necessary.
    pub fn member_text(&self, name: &str) -> Option<&str> {
        let (entry, value) = self.entry(name)?;
        self.body.json_text(entry, value)
    }

    /// As [`Edits::member_text`], as bytes that share the body's memory.
    pub fn member_bytes(&self, name: &str) -> Option<Bytes> {
        let (entry, value) = self.entry(name)?;
        self.body.json_bytes(entry, value)
    }

    /// Replaces a member's value, or adds the member. `json` must be valid JSON.
    pub fn set(&mut self, name: &str, json: impl Into<Bytes>) {
        let value = Value::Edited(json.into());
        match self.find(name) {
            Some(place) => self.lay(place, value),
            None => self.added.push(Entry::added(name.into(), value)),
        }
    }

    /// Sets many members at once, with the same result as one by one, but without quadratic time.
    pub fn set_all(&mut self, members: Vec<(Cow<'_, str>, Bytes)>) {
        if members.len() <= HANDFUL {
            return members.into_iter().for_each(|(name, json)| self.set(&name, json));
        }
        passed::add(self.body.entries.len() + self.added.len() + members.len());
        let present = self.layers().entries();
        let present = present.filter(|(_, _, value)| **value != Value::Removed);
        let mut places: HashMap<Box<[u8]>, usize> =
            present.map(|(place, entry, _)| (self.body.name(entry).into(), place)).collect();
        for (name, json) in members {
            let next = self.body.entries.len() + self.added.len();
            let place = *places.entry(name.as_bytes().into()).or_insert(next);
            let value = Value::Edited(json);
            if place == next {
                self.added.push(Entry::added(name.into(), value));
            } else {
                self.lay(place, value);
            }
        }
    }

    /// Removes every member whose name is unwanted.
    pub fn remove_all(&mut self, unwanted: impl Fn(&[u8]) -> bool) {
        for place in 0..self.body.entries.len() + self.added.len() {
            let Some((entry, value)) = self.at(place) else { return };
            if *value != Value::Removed && unwanted(&self.body.name(entry)) {
                self.lay(place, Value::Removed);
            }
        }
    }

    /// The body's bytes with all edits, as from [`Body::render`].
    #[must_use]
    pub fn render(&self) -> Slices {
        if self.over.is_empty() && self.added.is_empty() {
            return self.body.render();
        }
        self.layers().pieces()
    }

    fn layers(&self) -> Layers<'_> {
        Layers { body: self.body, over: &self.over, added: &self.added, instead: None }
    }

    /// Puts a value over the one at this index.
    fn lay(&mut self, place: usize, value: Value) {
        let count = self.body.entries.len();
        if let Some(added) = place.checked_sub(count) {
            self.added[added].value = value;
            return;
        }
        if self.over.is_empty() {
            self.over.resize_with(count, || Value::Original);
        }
        self.over[place] = value;
    }

    #[inline]
    fn at(&self, place: usize) -> Option<(&Entry, &Value)> {
        let Some(entry) = self.body.entries.get(place) else {
            let added = self.added.get(place - self.body.entries.len())?;
            return Some((added, &added.value));
        };
        match self.over.get(place) {
            None | Some(Value::Original) => Some((entry, &entry.value)),
            Some(over) => Some((entry, over)),
        }
    }

    fn entry(&self, name: &str) -> Option<(&Entry, &Value)> {
        self.at(self.find(name)?)
    }

    fn find(&self, name: &str) -> Option<usize> {
        passed::add(self.body.entries.len() + self.added.len());
        let digest = NameDigest::of(name.as_bytes());
        if self.added.is_empty() && self.body.names & digest.bit() == 0 {
            return None;
        }
        let found = self.layers().entries().find(|(_, entry, value)| {
            entry.digest == digest
                && **value != Value::Removed
                && self.body.is_named(entry, digest, name)
        });
        found.map(|(place, ..)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joined;

    const CHAT: &str = r#"{"model":"m", "messages":[], "own":1}"#;

    fn steps(work: impl FnOnce()) -> u64 {
        let before = passed::steps();
        work();
        passed::steps() - before
    }

    /// The same edits in the body and on top of it give the same result, and the body below stays
    /// unchanged.
    #[test]
    fn edits_over_a_body_come_to_what_edits_in_it_would() {
        let mut below = Body::parse(CHAT.into()).unwrap();
        below.set("by_callback", &b"1"[..]);
        below.set("own_too", &b"2"[..]);
        let before = below.rendered();
        for many in [1, 2 * HANDFUL] {
            let named = |at| (Cow::Owned(format!("extra{at}")), Bytes::from_static(b"3"));
            let mut inside = below.clone();
            inside.set("model", &b"\"up\""[..]);
            (0..many).map(named).for_each(|(name, json)| inside.set(&name, json));
            inside.set("extra0", &b"4"[..]);
            assert!(inside.remove("own") && inside.remove("own_too"));
            inside.set("own", &b"5"[..]);
            inside.set("by_callback", &b"6"[..]);
            let mut over = Edits::of(&below);
            over.set("model", &b"\"up\""[..]);
            over.set_all((0..many).map(named).collect());
            over.set("extra0", &b"4"[..]);
            over.remove_all(|name| name.starts_with(b"own"));
            over.set("own", &b"5"[..]);
            over.set("by_callback", &b"6"[..]);
            assert_eq!(joined(over.render()), inside.rendered(), "{many}");
            for name in ["model", "messages", "own", "own_too", "extra0", "by_callback", "none"] {
                assert_eq!(over.member(name), inside.member(name), "{name}");
                assert_eq!(over.member_text(name), inside.member_text(name), "{name}");
                assert_eq!(over.member_bytes(name), inside.member_bytes(name), "{name}");
            }
            assert_eq!(below.rendered(), before, "{many}");
        }
    }

    #[test]
    fn an_edit_over_a_body_costs_what_one_in_it_does() {
        let mut body = Body::parse(CHAT.into()).unwrap();
        let mut over = Edits::of(&body);
        let worked_over = steps(|| over.set("model", &b"1"[..]));
        assert_eq!(worked_over, steps(|| body.clone().set("model", &b"1"[..])));
        body.set("added", &b"1"[..]);
        let many =
            |count| (0..count).map(|at| (Cow::Owned(at.to_string()), Bytes::new())).collect();
        let mut over = Edits::of(&body);
        assert_eq!(steps(|| over.set_all(many(1000))), 4 + 1000);
        assert_eq!(steps(|| over.set_all(many(1000))), 4 + 1000 + 1000);
    }

    #[test]
    fn without_edits_nothing_is_copied() {
        let body = Body::parse(CHAT.into()).unwrap();
        let rendered = Edits::of(&body).render();
        assert_eq!(rendered[0].as_ptr(), body.original().as_ptr());
    }
}
