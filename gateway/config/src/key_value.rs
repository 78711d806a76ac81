//! The value of a key that clients send: the master key, or one of `callgate.keys`. No error shows
//! it.

use super::{
    problem::{Problem, Severity},
    reader::{Field, Reader},
    yaml::{Kind, Typed},
};
use callgate_secret::Secret;
use http::HeaderValue;

/// What to do about a bad key.
pub(super) const REMEDY: &str = "set a long random key";

/// The key in LiteLLM's documentation, which is public.
const DOCUMENTED_KEY: &str = "sk-1234";

/// Reads a key. `unset` is the severity of a variable that is not set.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>, unset: Severity) -> Option<Secret> {
    let Kind::Scalar(scalar) = &field.node.kind else {
        reader.error(field, format!("expected text, found {}", field.node.describe()));
        return None;
    };
    match scalar.typed() {
        Typed::Text(_) => {}
        Typed::Number(_) => {
            let text = "expected text, found a number; its digits are used as the key";
            let problem = Problem::warning(reader.place(field), text).remedy("put it in quotes");
            reader.problems.push(problem);
        }
        Typed::Bool(_) | Typed::Null => {
            reader.error(field, format!("expected text, found {}", field.node.describe()));
            return None;
        }
    }
    let before = std::mem::replace(&mut reader.unset, unset);
    let expanded = reader.expanded(field, scalar);
    reader.unset = before;
    let (key, variable) = expanded?;
    if key.trim().is_empty() {
        let text = match variable {
            Some(name) => format!("the environment variable `{name}` is blank"),
            None => "expected a key, found a blank one".to_owned(),
        };
        reader.problems.push(Problem::error(reader.place(field), text).remedy(REMEDY));
        return None;
    }
    Some(Secret::new(&key))
}

/// What is wrong with a key that no client could send.
pub(super) fn unsendable(key: &Secret) -> Option<&'static str> {
    let key = key.expose();
    let sendable = HeaderValue::from_str(key).is_ok() && key.trim() == key;
    (!sendable).then_some(
        "expected a key that an HTTP header can carry, found control characters or blanks around \
         it",
    )
}

/// What is wrong with the documentation's key.
pub(super) fn documented(key: &Secret) -> Option<&'static str> {
    key.matches(DOCUMENTED_KEY.as_bytes())
        .then_some("this is the key of LiteLLM's documentation, which everybody knows")
}
