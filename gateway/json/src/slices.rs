//! As [`walk`](super::walk), for bytes that may not be valid UTF-8: replies and their chunks.
//! Elements and members are returned as bytes.

use super::walk::{Walk, of};
use std::borrow::Cow;

/// The elements of an array, in order; none for any other value.
pub fn elements(json: &[u8]) -> Elements<'_> {
    Elements { json, walk: of(json).filter(|walk| !walk.is_object()) }
}

/// The members of an object, in order; none for any other value.
pub fn members(json: &[u8]) -> Members<'_> {
    Members { json, walk: of(json).filter(Walk::is_object) }
}

/// See [`elements`].
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    json: &'a [u8],
    walk: Option<Walk<'a>>,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        self.json.get(self.walk.as_mut()?.next()?.value)
    }
}

/// See [`members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    json: &'a [u8],
    walk: Option<Walk<'a>>,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Name<'a>, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let member = self.walk.as_mut()?.next()?;
        let name = Name { json: self.json.get(member.name)?, escaped: member.escaped };
        Some((name, self.json.get(member.value)?))
    }
}

/// The members of an array's only element, if that is an object. They are walked once, where
/// [`elements`] would walk the object to find its end, and [`members`] again. The array may have
/// more elements: ask [`Members::were_all`] after the walk.
pub fn members_of_only(json: &[u8]) -> Option<Members<'_>> {
    let inside = json.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?.trim_ascii();
    inside.ends_with(b"}").then(|| members(inside)).filter(|members| members.walk.is_some())
}

impl Members<'_> {
    /// Whether nothing follows the object whose members were walked to their end.
    pub fn were_all(&self) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.rest().trim_ascii() == b"}")
    }
}

/// A member's value; if the name is repeated, the last one counts.
pub fn member<'a>(json: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    members(json).filter(|(name, _)| name.is(wanted)).map(|(_, value)| value).last()
}

/// A member's name, between its quotes.
#[derive(Debug, Clone, Copy)]
pub struct Name<'a> {
    json: &'a [u8],
    escaped: bool,
}

impl<'a> Name<'a> {
    pub fn new(json: &'a [u8]) -> Self {
        Self { json, escaped: json.contains(&b'\\') }
    }

    pub fn is(self, wanted: &str) -> bool {
        self.json == wanted.as_bytes() || (self.escaped && *self.text() == *wanted.as_bytes())
    }

    /// The name without escapes.
    pub fn text(self) -> Cow<'a, [u8]> {
        let quoted = [b"\"", self.json, b"\""].concat();
        match serde_json::from_slice::<String>(&quoted) {
            Ok(text) => Cow::Owned(text.into_bytes()),
            Err(_) => Cow::Borrowed(self.json),
        }
    }

    /// The name as written, without its quotes.
    pub fn json(self) -> &'a [u8] {
        self.json
    }
}

/// Whether a value is empty: `null`, `false`, `""`, `[]` or `{}`.
pub fn is_blank(json: &[u8]) -> bool {
    matches!(json, b"null" | b"false" | b"\"\"")
        || (matches!(json, [b'[', .., b']'] | [b'{', .., b'}'])
            && json[1..json.len() - 1].trim_ascii().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<&'a str> {
        values.map(|value| std::str::from_utf8(value).unwrap()).collect()
    }

    #[test]
    fn elements_are_found_whatever_they_are() {
        for (json, expected) in [
            ("[]", &[][..]),
            (" [ ] ", &[]),
            ("[1]", &["1"]),
            ("[ 1 , -2.5e3 ,true,null ]", &["1", "-2.5e3", "true", "null"]),
            (r#"[{"a":["]"]},"\"]",[[]]]"#, &[r#"{"a":["]"]}"#, r#""\"]""#, "[[]]"]),
            (r#"{"a":1}"#, &[]),
            ("null", &[]),
        ] {
            assert_eq!(texts(elements(json.as_bytes())), expected, "{json}");
        }
    }

    #[test]
    fn the_last_of_several_members_counts() {
        let json = br#"{ "a" : 1 , "b":{"a":2}, "\u0061":"three" , "c":[] }"#;
        assert_eq!(member(json, "a"), Some(&br#""three""#[..]));
        assert_eq!(member(json, "b"), Some(&br#"{"a":2}"#[..]));
        assert_eq!((member(json, "d"), member(b"[1]", "a")), (None, None));
        assert_eq!(members(json).count(), 4);
    }

    #[test]
    fn the_only_object_of_an_array_is_walked_as_any_other() {
        for (json, expected) in [
            (r#"[{"a":1}]"#, Some(1)),
            (r#" [ { "a" : [ {} ] , "b" : "}]" } ] "#, Some(2)),
            ("[{}]", Some(0)),
            (r#"[{"a":1},{"a":1}]"#, None),
            (r#"[{},{}]"#, None),
            (r#"[{},1]"#, None),
            (r#"[1,{}]"#, None),
            ("[]", None),
            ("[1]", None),
            ("{}", None),
        ] {
            let only = members_of_only(json.as_bytes()).and_then(|mut members| {
                let count = members.by_ref().count();
                members.were_all().then_some(count)
            });
            assert_eq!(only, expected, "{json}");
        }
    }

    #[test]
    fn cut_or_broken_json_ends_the_walk() {
        let json = br#"{"a":[1,{"b":"\"x"}],"c":"d"}"#;
        for end in 0..json.len() {
            assert!(members(&json[..end]).count() <= 2, "{end}");
            assert!(elements(&json[..end]).count() == 0, "{end}");
        }
        assert_eq!(members(br#"{"a" 1,"b":2}"#).count(), 0);
    }

    #[test]
    fn what_says_nothing_is_blank() {
        for json in ["null", "false", "\"\"", "[]", "[ ]", "{}", "{\n}"] {
            assert!(is_blank(json.as_bytes()), "{json}");
        }
        for json in ["true", "0", "\" \"", "[0]", "{\"a\":1}", ""] {
            assert!(!is_blank(json.as_bytes()), "{json}");
        }
    }
}
