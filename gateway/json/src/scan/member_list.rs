//! The members that a scan found. The next scan on the thread reuses their memory, because there is
//! a scan for every body, reply and chunk of a stream.

use super::Member;
use std::{cell::Cell, ops::Deref};

/// More members than most objects have.
const USUAL: usize = 16;

/// A longer list's memory is not kept.
const MOST_KEPT: usize = 256;

thread_local! {
    static SPARE: Cell<Vec<Member>> = const { Cell::new(Vec::new()) };
}

/// The members that a scan found, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberList(Vec<Member>);

impl MemberList {
    pub(super) fn new() -> Self {
        // A thread that is ending has none left.
        let mut members = SPARE.try_with(Cell::take).unwrap_or_default();
        members.reserve(USUAL);
        Self(members)
    }

    #[inline]
    pub(super) fn push(&mut self, member: Member) {
        self.0.push(member);
    }

    #[inline]
    pub(super) fn last_mut(&mut self) -> Option<&mut Member> {
        self.0.last_mut()
    }
}

impl Deref for MemberList {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        &self.0
    }
}

impl Drop for MemberList {
    fn drop(&mut self) {
        if (1..=MOST_KEPT).contains(&self.0.capacity()) {
            let mut members = std::mem::take(&mut self.0);
            members.clear();
            let _ = SPARE.try_with(|spare| spare.set(members));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Scanner;

    #[test]
    fn memory_is_used_again_and_nothing_of_what_was_in_it() {
        let first = Scanner::scan(br#"{"a":1,"b":2}"#).unwrap();
        let memory = first.as_ptr();
        drop(first);
        let second = Scanner::scan(br#"{"c":3}"#).unwrap();
        assert_eq!((second.as_ptr(), second.len()), (memory, 1));
        let third = Scanner::scan(b"{}").unwrap();
        assert!(third.is_empty() && third.as_ptr() != memory);
    }
}
