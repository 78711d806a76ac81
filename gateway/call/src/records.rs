//! What is being recorded of a call, for the callbacks whose entries say so. The recorder's own
//! type is unknown here.

use std::{any::Any, fmt, sync::Arc};

type Record = Arc<dyn Any + Send + Sync>;

/// The records of a call, by the callback's position in the chain. Clones share them: whoever drops
/// the last one ends the record.
#[derive(Clone, Default)]
pub struct Records(Vec<(usize, Record)>);

impl Records {
    /// The record of the callback at `place`.
    pub fn of(&self, place: usize) -> Option<&Record> {
        self.0.iter().find(|(at, _)| *at == place).map(|(_, record)| record)
    }

    pub fn add(&mut self, place: usize, record: Record) {
        self.0.push((place, record));
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Records").field(&self.0.len()).finish()
    }
}
