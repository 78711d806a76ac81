//! The useful members of an error object, read without building a tree of the others: a hostile
//! body costs time in proportion to its length.

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// Names in lower case, without `_` and `-`.
const NAMES: [&str; 17] = [
    "error",
    "errors",
    "detail",
    "message",
    "msg",
    "errormessage",
    "errormsg",
    "errordescription",
    "description",
    "reason",
    "title",
    "type",
    "errortype",
    "exception",
    "code",
    "errorcode",
    "param",
];

/// Names with the same spelling everywhere.
const EXACT: [&str; 2] = ["loc", "status"];

const COUNT: usize = NAMES.len() + EXACT.len();

/// The members by name. If a name is repeated, the last one counts.
#[derive(Debug, Default)]
pub(super) struct ErrorMembers<'a>([Option<&'a RawValue>; COUNT]);

impl<'a> ErrorMembers<'a> {
    pub(super) fn of(object: &'a RawValue) -> Option<Self> {
        serde_json::Deserializer::from_str(object.get()).deserialize_map(Members).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(position(name)?).copied().flatten()
    }
}

fn position(name: &str) -> Option<usize> {
    NAMES.iter().chain(&EXACT).position(|known| *known == name)
}

/// Normalizes a name: `errorMessage`, `error_message` and `ErrorMessage` are the same.
fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| !matches!(c, '_' | '-'));
    kept.map(|c| c.to_ascii_lowercase()).collect()
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = ErrorMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ErrorMembers<'de>, A::Error> {
        let mut shape = ErrorMembers::default();
        while let Some(name) = map.next_key::<Name<'de>>()? {
            // No known name is longer.
            let known = if name.0.len() <= 24 { position(&plain(&name.0)) } else { None };
            match known.and_then(|at| shape.0.get_mut(at)) {
                Some(slot) => *slot = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(shape)
    }
}

#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The first `count` elements of an array.
pub(super) fn elements(array: &RawValue, count: usize) -> Option<Vec<&RawValue>> {
    struct Elements(usize);

    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while elements.len() < self.0 {
                let Some(element) = list.next_element()? else { return Ok(elements) };
                elements.push(element);
            }
            while list.next_element::<IgnoredAny>().map_err(A::Error::custom)?.is_some() {}
            Ok(elements)
        }
    }

    serde_json::Deserializer::from_str(array.get()).deserialize_seq(Elements(count)).ok()
}

/// The JSON with only the escapes that it needs.
pub(super) fn unescaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'"', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let end = end_of_string(&rest[at + 1..]).map_or(rest.len(), |end| at + 1 + end);
        let literal = &rest[at..end];
        match serde_json::from_str::<String>(literal) {
            Ok(text) => {
                out.push('"');
                out.push_str(&text);
                out.push('"');
            }
            Err(_) => out.push_str(literal),
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// The position after the closing quote.
fn end_of_string(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', text.as_bytes().get(from..)?)?;
        if text.as_bytes().get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        from = at + 2;
    }
}
