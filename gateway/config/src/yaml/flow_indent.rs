//! Lines of a flow collection (`{…}`, `[…]`) may stand anywhere for PyYAML, also to the left of the
//! mapping that the collection is in; the parser refuses them. Such a line is moved to the right,
//! and positions in it are counted as if it had not been.

use super::node::Mark;
use saphyr_parser::ScanError;
use std::{borrow::Cow, collections::HashMap};

/// The most bytes that are parsed again in all; each line that is moved parses the text once more.
const MAX_AGAIN: usize = 64 << 20;
/// More than people indent.
const FAR: usize = 64;

/// The lines that were moved, and by how many columns.
#[derive(Default)]
pub(super) struct Moved {
    columns: HashMap<usize, usize>,
    parsed_again: usize,
}

impl Moved {
    /// Moves the line that the parser refused; `false` if that is no such line.
    pub(super) fn moves(&mut self, text: &mut Cow<'_, str>, error: &ScanError) -> bool {
        let is_flow = ["invalid indentation", "invalid indentation in flow construct"];
        self.parsed_again += text.len();
        if !is_flow.contains(&error.info()) || self.parsed_again > MAX_AGAIN {
            return false;
        }
        let (line, column) = (error.marker().line(), error.marker().col());
        let Some(start) = start_of(text, line) else { return false };
        let before = text[start..].chars().take(column);
        if before.clone().count() < column || !before.into_iter().all(|c| c == ' ') {
            return false;
        }
        text.to_mut().insert_str(start, &" ".repeat(FAR));
        *self.columns.entry(line).or_default() += FAR;
        true
    }

    /// The position in the text as it is written.
    pub(super) fn put_back(&self, mark: Mark) -> Mark {
        let moved = self.columns.get(&mark.line).copied().unwrap_or_default();
        Mark { column: mark.column.saturating_sub(moved).max(1), ..mark }
    }
}

/// Where a line begins, counted from 1.
fn start_of(text: &str, line: usize) -> Option<usize> {
    let (mut at, mut left) = (0, line.checked_sub(1)?);
    let bytes = text.as_bytes();
    while left > 0 {
        at += bytes.get(at..)?.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
        at += if bytes[at..].starts_with(b"\r\n") { 2 } else { 1 };
        left -= 1;
    }
    Some(at)
}
