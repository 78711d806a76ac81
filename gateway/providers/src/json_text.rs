//! Handles JSON as text: copies strings between documents without decoding them.
//!
//! A prompt or a reply is mostly one long string that is already escaped correctly; decoding and
//! escaping it again would be a translation's most expensive step. The dialects that translate use
//! it.

use callgate_json::{decode_text, walk};
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};
use std::{
    borrow::{Borrow, Cow},
    collections::BTreeMap,
};

/// The members of an object by name; if a name is repeated, the last one counts.
pub(crate) type JsonMembers<'a> = BTreeMap<Str<'a>, &'a RawValue>;

/// A decoded string, borrowed from its source if that contains no escape.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(crate) struct Str<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl Borrow<str> for Str<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A JSON string as its source spells it, with quotes and escapes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a>(&'a str);

impl<'a> Text<'a> {
    /// `None` if the value is not a string.
    pub(crate) fn of(value: &'a RawValue) -> Option<Self> {
        value.get().starts_with('"').then(|| Self(value.get()))
    }

    /// The same of a value as its source spells it.
    pub(crate) fn of_json(json: &'a str) -> Option<Self> {
        json.starts_with('"').then_some(Self(json))
    }

    /// The text between the quotes, still escaped.
    pub(crate) fn escaped(self) -> &'a str {
        self.0.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default()
    }

    /// Decodes the text; fails on a lone surrogate, which only decoding detects.
    pub(crate) fn decode(self) -> Result<Cow<'a, str>, serde_json::Error> {
        if !self.0.contains('\\') {
            return Ok(Cow::Borrowed(self.escaped()));
        }
        serde_json::from_str::<String>(self.0).map(Cow::Owned)
    }

    /// The same for an upstream's text, with U+FFFD for a lone surrogate.
    pub(crate) fn decode_lossy(self) -> Cow<'a, str> {
        if !self.0.contains('\\') {
            return Cow::Borrowed(self.escaped());
        }
        let mut text = String::with_capacity(self.0.len());
        decode_text(self.0.as_bytes(), |piece| text.push_str(piece));
        Cow::Owned(text)
    }

    /// Whether the text may start with `<` after leading white space. Cheap; `false` is always
    /// right.
    pub(crate) fn may_open_with_tag(self) -> bool {
        let rest = self.without_lead();
        let escape = rest.strip_prefix(r"\u").map(str::as_bytes);
        // Half of a surrogate pair is never a `<`.
        let is_half = |digits: &[u8]| {
            matches!(digits, [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
        };
        rest.starts_with('<') || escape.is_some_and(|digits| !is_half(digits))
    }

    /// Whether it is only white space, as far as [`Text::may_open_with_tag`] can tell.
    pub(crate) fn is_lead(self) -> bool {
        self.without_lead().is_empty()
    }

    fn without_lead(self) -> &'a str {
        let mut rest = self.escaped();
        loop {
            rest = rest.trim_start_matches(' ');
            match [r"\n", r"\r", r"\t", r"\f"].iter().find_map(|space| rest.strip_prefix(space)) {
                Some(after) => rest = after,
                None => return rest,
            }
        }
    }
}

/// Text on its way into a JSON document, already escaped or not.
#[derive(Debug)]
pub(crate) enum Piece<'a> {
    Source(Text<'a>),
    /// A JSON string made here.
    Made(Vec<u8>),
}

impl Piece<'_> {
    /// Encodes a text and frees it.
    pub(crate) fn of(text: String) -> Self {
        let mut json = Vec::new();
        push_string(&mut json, &text);
        drop(text);
        Self::Made(json)
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Source(text) => text.escaped().is_empty(),
            Self::Made(json) => json.len() <= r#""""#.len(),
        }
    }

    /// The text as its JSON spells it.
    pub(crate) fn text(&self) -> Text<'_> {
        match self {
            Self::Source(text) => *text,
            Self::Made(json) => Text(std::str::from_utf8(json).unwrap_or(r#""""#)),
        }
    }

    /// The JSON string.
    pub(crate) fn json(&self) -> &[u8] {
        match self {
            Self::Source(text) => text.0.as_bytes(),
            Self::Made(json) => json,
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.json());
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    /// From this length on the buffer is reserved at once, because growing holds it twice.
    const LONG: usize = 16 * 1024;
    if text.len() > LONG {
        let escaped = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
        let escapes = text.as_bytes().iter().filter(|byte| escaped(byte)).count();
        out.reserve(text.len() + escapes + LONG);
    }
    // Writing into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends `items`, each written by `write`, with commas between them.
pub(crate) fn push_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
}

/// The value, unless it is absent or `null`, which clients use with the same meaning.
pub(crate) fn set(value: Option<&RawValue>) -> Option<&RawValue> {
    value.filter(|value| value.get() != "null")
}

/// An iterator over the elements of an array; `None` for another value.
pub(crate) fn elements<'a>(list: &'a RawValue) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
    let text = list.get();
    Some(walk::elements(text)?.filter_map(|element| text.get(element.value)))
}

/// The kind of the value, for error messages.
pub(crate) fn kind(value: &RawValue) -> &'static str {
    kind_of(value.get())
}

pub(crate) fn kind_of(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Describes an error in a document without repeating its content.
pub(crate) fn problem(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof | Category::Io => error.to_string(),
        Category::Data => {
            format!("unexpected kind of value at line {} column {}", error.line(), error.column())
        }
    }
}
