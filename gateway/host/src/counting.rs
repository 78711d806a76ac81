//! Who owns an instance's counters and values.

use callgate_config::CallbackEntry;

/// The owner of an instance's counters and values: its entry, unless entries share them.
#[derive(Clone, Copy, Debug)]
pub struct Counting<'a> {
    /// The name that the plugin exports the callback by.
    pub callback: &'a str,
    /// The entry's `share`.
    pub share: Option<&'a str>,
}

impl<'a> Counting<'a> {
    /// The scope that the entry sets.
    #[must_use]
    pub fn of(entry: &'a CallbackEntry, callback: &'a str) -> Self {
        Self { callback, share: entry.share.as_ref().map(|(name, _)| name.as_str()) }
    }

    /// The scope's name: the same for all instances of the entry and for entries that share.
    pub(super) fn scope(self, entry: &str) -> String {
        match self.share {
            Some(share) => ["share\0", self.callback, "\0", share].concat(),
            None => ["entry\0", entry].concat(),
        }
    }
}
