//! The id of a call.

use smallvec::SmallVec;
use std::{fmt, ops::Deref, sync::Arc};

/// The prefix of the id of a completion made by the gateway.
const COMPLETION: &str = "chatcmpl-";

/// The id of a call. Clones share its memory, and so does the id of a completion.
#[derive(Clone, PartialEq, Eq)]
pub struct CallId(Arc<str>);

impl CallId {
    /// The id for a completion: `chatcmpl-…`.
    pub fn of_completion(&self) -> &Arc<str> {
        &self.0
    }
}

impl From<&str> for CallId {
    fn from(id: &str) -> Self {
        // There is room for a UUID without an allocation.
        let mut whole: SmallVec<[u8; 64]> = SmallVec::from_slice(COMPLETION.as_bytes());
        whole.extend_from_slice(id.as_bytes());
        // Both parts are text, so this cannot fail.
        Self(std::str::from_utf8(&whole).unwrap_or_default().into())
    }
}

impl Deref for CallId {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.get(COMPLETION.len()..).unwrap_or_default()
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_completions_end_with_the_calls() {
        for id in ["", "é", "0b9ae0a6-2c58-4b9c-8d0f-5a86e0a2f9d1", &"x".repeat(128)] {
            let made = CallId::from(id);
            assert_eq!((&*made, &**made.of_completion()), (id, &*format!("chatcmpl-{id}")));
        }
    }
}
