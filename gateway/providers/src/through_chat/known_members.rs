//! What becomes of the members of a request that have no place of their own in a chat.

use super::{ChatTarget, error::Unsupported, read::RequestMembers};
use crate::json_text::push_string;

/// The members of one API's requests that are not simply copied.
#[derive(Debug)]
pub(super) struct KnownMembers {
    /// They have a place of their own in a chat.
    pub(super) translated: &'static [&'static str],
    /// They change nothing about what is answered.
    pub(super) indifferent: &'static [&'static str],
    /// They ask for what no chat has, each with a value that asks for nothing.
    pub(super) unsupported: &'static [(&'static str, &'static str)],
}

impl KnownMembers {
    /// Appends the members that are the same in a chat, and those that the gateway does not know:
    /// the provider judges them.
    pub(super) fn write_others(
        &self,
        out: &mut Vec<u8>,
        members: &RequestMembers<'_>,
        (to, unsupported): (&ChatTarget<'_>, &mut Unsupported),
    ) {
        for (name, value) in members.iter() {
            if self.translated.contains(&name) || self.indifferent.contains(&name) {
                continue;
            }
            let known = self.unsupported.iter().find(|(known, _)| *known == name);
            match known.filter(|_| !to.rules.allows(name)) {
                Some((_, nothing)) if value.get() == *nothing => {}
                Some(_) => unsupported.note(name),
                None => {
                    out.push(b',');
                    push_string(out, name);
                    out.push(b':');
                    out.extend_from_slice(value.get().as_bytes());
                }
            }
        }
    }
}
