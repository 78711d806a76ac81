//! An object of a chunk, read one level deep. Values stay JSON text, so the memory for a chunk is
//! bounded by the chunk's length.

use crate::{
    scan::{decoded, elements, members},
    withheld::unexpected,
};
use plugin_api::HookError;
use std::borrow::Cow;

/// The maximum number of members. Real chunks have far fewer.
const MOST_MEMBERS: usize = 4096;

/// An object with changed values.
#[derive(Debug, Default)]
pub(crate) struct Object<'a> {
    members: Vec<Member<'a>>,
    changed: bool,
}

#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: Cow<'a, str>,
    /// The original value.
    pub(crate) json: &'a str,
    /// The changed value.
    new: Option<String>,
}

impl<'a> Object<'a> {
    /// Reads an object. If a name is repeated, only its last member counts and is sent.
    pub(crate) fn read(json: &'a str, what: &str) -> Result<Self, HookError> {
        let found = members(json, MOST_MEMBERS);
        let mut found = found.map_err(|_| {
            unexpected(&format!("{what} to be an object of at most {MOST_MEMBERS} members"))
        })?;
        let count = found.len();
        // A stable sort keeps members of the same name in order.
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|one, other| found[*one].0.cmp(&found[*other].0));
        let mut repeated: Vec<usize> = order
            .windows(2)
            .filter(|pair| found[pair[0]].0 == found[pair[1]].0)
            .map(|pair| pair[0])
            .collect();
        repeated.sort_unstable();
        for at in repeated.iter().rev() {
            found.remove(*at);
        }
        let members =
            found.into_iter().map(|(name, place)| Member { name, json: &json[place], new: None });
        Ok(Self { members: members.collect(), changed: !repeated.is_empty() })
    }

    /// Returns a member's original value, unless it is null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        let found = self.members.iter().find(|member| member.name == name);
        found.map(|member| member.json).filter(|json| *json != "null")
    }

    /// Returns a member's text. It is empty if the member is missing or null.
    pub(crate) fn text(&self, name: &str, what: &str) -> Result<Cow<'a, str>, HookError> {
        match self.get(name) {
            None => Ok(Cow::Borrowed("")),
            Some(json) if json.starts_with('"') => {
                decoded(json).map_err(|_| unexpected(&format!("{what} to be text")))
            }
            Some(_) => Err(unexpected(&format!("{what} to be text"))),
        }
    }

    pub(crate) fn set(&mut self, name: &str, json: String) {
        self.changed = true;
        match self.members.iter_mut().find(|member| member.name == name) {
            Some(member) => member.new = Some(json),
            None => {
                let name = Cow::Owned(name.to_owned());
                self.members.push(Member { name, json: "null", new: Some(json) });
            }
        }
    }

    /// Sets the value of each member that was not set before to the one that `change` returns, if
    /// any.
    pub(crate) fn change(
        &mut self,
        mut change: impl FnMut(&Member<'a>) -> Result<Option<String>, HookError>,
    ) -> Result<(), HookError> {
        for member in self.members.iter_mut().filter(|member| member.new.is_none()) {
            if let Some(json) = change(member)? {
                member.new = Some(json);
                self.changed = true;
            }
        }
        Ok(())
    }

    /// Renames each member for which `rename` returns another name.
    pub(crate) fn rename(
        &mut self,
        mut rename: impl FnMut(&str) -> Result<Option<String>, HookError>,
    ) -> Result<(), HookError> {
        for member in &mut self.members {
            if let Some(name) = rename(&member.name)? {
                member.name = name.into();
                self.changed = true;
            }
        }
        Ok(())
    }

    /// Returns the changed object, or `None` if nothing changed.
    pub(crate) fn changed(self) -> Option<String> {
        self.changed.then(|| {
            let values = self.members.iter().map(|member| member.value().len());
            let mut out = String::with_capacity(values.sum::<usize>() + 32 * self.members.len());
            out.push('{');
            for (at, member) in self.members.iter().enumerate() {
                out.push_str(if at == 0 { "" } else { "," });
                out.push_str(&json_text(&member.name));
                out.push(':');
                out.push_str(member.value());
            }
            out.push('}');
            out
        })
    }
}

impl Member<'_> {
    fn value(&self) -> &str {
        self.new.as_deref().unwrap_or(self.json)
    }
}

/// Returns a list with each element replaced by what `change` returns for it, or `None` if nothing
/// changed.
pub(crate) fn list_under(
    json: &str,
    what: &str,
    mut change: impl FnMut(usize, &str) -> Result<Option<String>, HookError>,
) -> Result<Option<String>, HookError> {
    if !json.starts_with('[') {
        return Err(unexpected(&format!("{what} to be a list")));
    }
    let (mut out, mut from) = (String::new(), 0);
    for (position, place) in elements(json).enumerate() {
        if let Some(new) = change(position, &json[place.clone()])? {
            out.push_str(&json[from..place.start]);
            out.push_str(&new);
            from = place.end;
        }
    }
    if from == 0 {
        return Ok(None);
    }
    out.push_str(&json[from..]);
    Ok(Some(out))
}

/// Returns a text as a JSON string.
pub(crate) fn json_text(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts_in_any_spelling_and_what_is_not_changed_stays() {
        let json = r#"{ "a" : 1.50, "b":[ 1 ],"\u0061":{"x" : 2} , "c":null}"#;
        let mut object = Object::read(json, "this").unwrap();
        assert_eq!((object.get("a"), object.get("c")), (Some(r#"{"x" : 2}"#), None));
        object.set("c", "3".to_owned());
        object.set("d\n", "4".to_owned());
        let expected = r#"{"b":[ 1 ],"a":{"x" : 2},"c":3,"d\n":4}"#;
        assert_eq!(object.changed().as_deref(), Some(expected));
        assert!(Object::read(r#"{"a":1}"#, "this").unwrap().changed().is_none());
        for odd in ["[]", "7", "", "{\"a\""] {
            assert!(Object::read(odd, "this").is_err(), "{odd}");
        }
    }

    #[test]
    fn more_members_than_an_object_has_are_not_held() {
        let many = |count: usize| format!("{{{}\"last\":1}}", "\"a\":1,".repeat(count - 1));
        assert!(Object::read(&many(MOST_MEMBERS), "this").is_ok());
        assert!(Object::read(&many(MOST_MEMBERS + 1), "this").is_err());
    }

    #[test]
    fn elements_are_changed_in_their_places() {
        let doubled = |json: &str| {
            list_under(json, "this", |at, element| Ok((at == 1).then(|| element.repeat(2))))
        };
        for (json, expected) in [
            ("[]", None),
            ("[ 1 ]", None),
            ("[1 , 2,3]", Some("[1 , 22,3]")),
            (r#"[{"a":[1,2]},"]",3 ]"#, Some(r#"[{"a":[1,2]},"]""]",3 ]"#)),
        ] {
            assert_eq!(doubled(json).unwrap().as_deref(), expected, "{json}");
        }
        assert!(doubled("{}").is_err());
    }
}
