//! A JSON object as its original bytes, with edits of its top-level members.
//!
//! Unedited bytes are never copied: [`Body::render`] returns slices of the original with the edits
//! between them. Used for requests and for JSON replies in the same dialect. `call` and `providers`
//! know the meaning of the members.

mod assembly;
mod edits;

use super::{
    joined::{Slices, joined},
    passed,
    scan::{Member, ScanError, Scanner},
};
use bytes::{Bytes, BytesMut};
pub use edits::Edits;
use std::{borrow::Cow, cell::OnceCell, collections::HashMap, ops::Range};

/// Below this size, one copy is cheaper than several writes.
const ONE_PIECE: usize = 16 * 1024;

/// Up to this number, comparing names is faster than hashing; more must not cost quadratic time.
const HANDFUL: usize = 24;

/// No API has a longer name, and every lookup would have to decode and compare it.
const LONGEST_NAME: usize = 4096;

/// The most pieces in which a body is kept.
const PIECES: usize = 16;

/// Why bytes are not a [`Body`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("{0}")]
    NotJson(#[from] ScanError),
    #[error("expected a JSON object, found another kind of value")]
    NotAnObject,
    #[error("expected names of at most {LONGEST_NAME} bytes, found a longer one")]
    LongName,
}

/// A top-level member's value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Original,
    Edited(Bytes),
    Removed,
}

impl Value {
    fn edited(&self) -> Option<&[Bytes]> {
        match self {
            Self::Edited(json) => Some(std::slice::from_ref(json)),
            Self::Original | Self::Removed => None,
        }
    }
}

#[derive(Debug, Clone)]
struct Entry {
    /// Set if the bytes of the name are not its text, or the member was added.
    name: Option<Box<str>>,
    /// The digest of the name's text.
    digest: NameDigest,
    /// The ranges of name and value in the original; both empty for an added member.
    name_at: Range<usize>,
    value_at: Range<usize>,
    value: Value,
}

/// A digest of a name's length and some of its bytes: different digests mean different names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NameDigest(u64);

impl NameDigest {
    #[inline]
    fn of(name: &[u8]) -> Self {
        let bytes = match (name.first_chunk(), name.first_chunk(), name.last_chunk()) {
            (Some(first), ..) => u64::from_le_bytes(*first),
            (None, Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ => name.iter().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte)),
        };
        Self(bytes ^ (name.len() as u64) << 56)
    }

    /// One of 64 bits, for a set of names in one number.
    #[inline]
    fn bit(self) -> u64 {
        1 << (self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
    }
}

/// A scanned JSON object.
#[derive(Debug, Clone)]
pub struct Body {
    chunks: Slices,
    len: usize,
    whole: OnceCell<Bytes>,
    entries: Vec<Entry>,
    /// The bits of all present and removed names. Most lookups are for names that are absent.
    names: u64,
    edited: bool,
}

impl Body {
    /// Creates a body from the members that a scan found.
    pub(super) fn scanned(
        chunks: Slices,
        len: usize,
        members: &[Member],
    ) -> Result<Self, (BodyError, Slices)> {
        let whole = match &chunks[..] {
            [only] => OnceCell::from(only.clone()),
            _ => OnceCell::new(),
        };
        let mut body = Self { chunks, len, whole, entries: Vec::new(), names: 0, edited: false };
        if body.first_byte() != Some(b'{') {
            return Err((BodyError::NotAnObject, body.chunks));
        }
        if members.iter().any(|member| member.name.len() > LONGEST_NAME) {
            return Err((BodyError::LongName, body.chunks));
        }
        // Every lookup of a name visits all members and, if the body arrived in pieces, all pieces.
        if members.len() > HANDFUL || body.chunks.len() > PIECES {
            let whole = body.original().clone();
            body.chunks = Slices::from_buf([whole]);
        }
        body.entries = members.iter().map(|member| body.entry(member)).collect();
        let mut may_repeat = false;
        for entry in &body.entries {
            let bit = entry.digest.bit();
            may_repeat |= body.names & bit != 0;
            body.names |= bit;
        }
        if may_repeat {
            body.drop_duplicates();
        }
        Ok(body)
    }

    /// Scans bytes in one piece, which are kept without a copy.
    pub fn parse(bytes: Bytes) -> Result<Self, BodyError> {
        let mut scanner = Scanner::new();
        scanner.feed(&bytes)?;
        let (members, length) = (scanner.finish()?, bytes.len());
        Self::scanned(Slices::from_buf([bytes]), length, &members).map_err(|(error, _)| error)
    }

    /// The original bytes in one piece; joined on first use.
    pub fn original(&self) -> &Bytes {
        self.whole.get_or_init(|| {
            let mut whole = BytesMut::with_capacity(self.len);
            self.chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
            whole.freeze()
        })
    }

    /// The length of the original.
    #[expect(clippy::len_without_is_empty, reason = "an object has two bytes at least")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The names of its members, as they will be sent.
    pub fn names(&self) -> impl Iterator<Item = Cow<'_, [u8]>> + Clone {
        let sent = self.entries.iter().filter(|entry| entry.value != Value::Removed);
        sent.map(|entry| self.name(entry))
    }

    /// The members that are unedited. Joins a body that arrived in pieces.
    pub fn sent(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        let whole = self.original();
        let original = self.entries.iter().filter(|entry| entry.value == Value::Original);
        original.map(|entry| {
            let name = match &entry.name {
                Some(name) => Cow::Borrowed(&**name),
                None => Cow::Borrowed(super::text(&whole[entry.name_at.clone()])),
            };
            (name, super::text(&whole[entry.value_at.clone()]))
        })
    }

    /// The JSON text of a member's value.
    pub fn member(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let entry = &self.entries[self.find(name)?];
        self.json(entry, &entry.value)
    }

    /// As [`Body::member`], always borrowed; joins a body that arrived in pieces if necessary.
    pub fn member_text(&self, name: &str) -> Option<&str> {
        let entry = &self.entries[self.find(name)?];
        self.json_text(entry, &entry.value)
    }

    /// As [`Body::member_text`], as bytes that share the body's memory.
    pub fn member_bytes(&self, name: &str) -> Option<Bytes> {
        let entry = &self.entries[self.find(name)?];
        self.json_bytes(entry, &entry.value)
    }

    /// The JSON of an entry with this value.
    fn json<'a>(&'a self, entry: &Entry, value: &'a Value) -> Option<Cow<'a, [u8]>> {
        match value {
            Value::Original => Some(self.slice(entry.value_at.clone())),
            Value::Edited(json) => Some(Cow::Borrowed(json)),
            Value::Removed => None,
        }
    }

    fn json_text<'a>(&'a self, entry: &Entry, value: &'a Value) -> Option<&'a str> {
        let json = match value {
            Value::Original => &self.original()[entry.value_at.clone()],
            Value::Edited(json) => json,
            Value::Removed => return None,
        };
        std::str::from_utf8(json).ok()
    }

    fn json_bytes(&self, entry: &Entry, value: &Value) -> Option<Bytes> {
        match value {
            Value::Original => Some(self.original().slice(entry.value_at.clone())),
            Value::Edited(json) => Some(json.clone()),
            Value::Removed => None,
        }
    }

    /// Replaces a member's value, or adds the member. `json` must be valid JSON.
    pub fn set(&mut self, name: &str, json: impl Into<Bytes>) {
        let value = Value::Edited(json.into());
        self.edited = true;
        match self.find(name) {
            Some(index) => self.entries[index].value = value,
            None => {
                let added = Entry::added(name.into(), value);
                self.names |= added.digest.bit();
                self.entries.push(added);
            }
        }
    }

    /// Removes a member; returns whether it existed.
    pub fn remove(&mut self, name: &str) -> bool {
        let found = self.find(name);
        if let Some(index) = found {
            self.entries[index].value = Value::Removed;
            self.edited = true;
        }
        found.is_some()
    }

    /// The bytes with all edits, in pieces that share memory with the original where possible. The
    /// text between members stays unchanged.
    pub fn render(&self) -> Slices {
        if !self.edited {
            return self.chunks.clone();
        }
        self.pieces(None)
    }

    /// As [`Body::rendered`], with `value` in place of the member `name`.
    pub fn rendered_with(&self, name: &str, value: &[Bytes]) -> Bytes {
        match self.find(name) {
            Some(index) => joined(self.pieces(Some((index, value)))),
            None => self.rendered(),
        }
    }

    /// As [`Body::render`], in one piece.
    pub fn rendered(&self) -> Bytes {
        if !self.edited {
            return self.original().clone();
        }
        joined(self.render())
    }

    /// Whether anything differs from the original.
    pub fn is_edited(&self) -> bool {
        self.edited
    }

    fn find(&self, name: &str) -> Option<usize> {
        passed::add(self.entries.len());
        let digest = NameDigest::of(name.as_bytes());
        if self.names & digest.bit() == 0 {
            return None;
        }
        self.entries.iter().position(|entry| {
            !matches!(entry.value, Value::Removed) && self.is_named(entry, digest, name)
        })
    }

    /// `digest` must be that of `name`.
    #[inline]
    fn is_named(&self, entry: &Entry, digest: NameDigest, name: &str) -> bool {
        entry.digest == digest && *self.name(entry) == *name.as_bytes()
    }

    fn entry(&self, member: &Member) -> Entry {
        let name = member.escaped.then(|| {
            let quoted = self.slice(member.name.start - 1..member.name.end + 1);
            serde_json::from_slice::<Box<str>>(&quoted).unwrap_or_default()
        });
        let digest = match &name {
            Some(name) => NameDigest::of(name.as_bytes()),
            None => NameDigest::of(&self.slice(member.name.clone())),
        };
        let (name_at, value_at) = (member.name.clone(), member.value.clone());
        Entry { name, digest, name_at, value_at, value: Value::Original }
    }

    /// Of several members with one name only the last is kept, so that the upstream gets the one
    /// that was checked.
    fn drop_duplicates(&mut self) {
        let mut duplicates = Vec::new();
        if self.entries.len() <= HANDFUL {
            let is_repeated = |index: &usize| {
                let (entry, later) = (&self.entries[*index], &self.entries[index + 1..]);
                later.iter().any(|other| self.same_name(entry, other))
            };
            duplicates.extend((0..self.entries.len()).filter(is_repeated));
        } else {
            let mut last = HashMap::new();
            let names = self.entries.iter().map(|entry| self.name(entry)).enumerate();
            duplicates.extend(names.filter_map(|(index, name)| last.insert(name, index)));
        }
        for index in duplicates {
            self.entries[index].value = Value::Removed;
            self.edited = true;
        }
    }

    fn same_name(&self, one: &Entry, other: &Entry) -> bool {
        one.digest == other.digest && self.name(one) == self.name(other)
    }

    fn name<'a>(&'a self, entry: &'a Entry) -> Cow<'a, [u8]> {
        match &entry.name {
            Some(name) => Cow::Borrowed(name.as_bytes()),
            None => self.slice(entry.name_at.clone()),
        }
    }

    fn first_byte(&self) -> Option<u8> {
        let mut bytes = self.chunks.iter().flat_map(|chunk| chunk.iter());
        bytes.find(|byte| !byte.is_ascii_whitespace()).copied()
    }

    /// The position of the object's `{`.
    fn opening(&self) -> usize {
        let mut bytes = self.chunks.iter().flat_map(|chunk| chunk.iter());
        bytes.position(|byte| *byte == b'{').unwrap_or_default()
    }

    /// The bytes of `range`; copied only if they are in several chunks.
    #[inline]
    fn slice(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        match self.whole.get() {
            Some(whole) => Cow::Borrowed(&whole[range]),
            None => self.gathered(range),
        }
    }

    #[cold]
    fn gathered(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        passed::add(self.chunks.len());
        let mut copy = Vec::new();
        let mut start = 0;
        for chunk in &self.chunks {
            let end = start + chunk.len();
            if range.start >= start && range.end <= end {
                return Cow::Borrowed(&chunk[range.start - start..range.end - start]);
            }
            if range.start < end && range.end > start {
                let from = range.start.max(start) - start;
                copy.extend_from_slice(&chunk[from..range.end.min(end) - start]);
            }
            start = end;
        }
        Cow::Owned(copy)
    }

    /// The bytes of `range` without a copy, chunk by chunk.
    fn share(&self, range: Range<usize>, mut piece: impl FnMut(Bytes)) {
        let mut start = 0;
        for chunk in &self.chunks {
            let end = start + chunk.len();
            if range.start < end && range.end > start {
                piece(chunk.slice(range.start.max(start) - start..range.end.min(end) - start));
            }
            start = end;
        }
    }
}

impl Entry {
    /// A member that the original lacks.
    fn added(name: Box<str>, value: Value) -> Self {
        let digest = NameDigest::of(name.as_bytes());
        Self { name: Some(name), digest, name_at: 0..0, value_at: 0..0, value }
    }

    /// Whether the original lacks it.
    fn is_added(&self) -> bool {
        self.value_at.is_empty()
    }

    /// The range of name, value and the text between them, in the original.
    fn span(&self) -> Range<usize> {
        self.name_at.start - 1..self.value_at.end
    }
}

#[cfg(test)]
mod tests;
