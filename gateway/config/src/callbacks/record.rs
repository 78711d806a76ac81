//! `record` of a callback's entry: a folder that keeps real calls for `callgate plugin test
//! --replay`.

use super::policy::Canary;
use crate::{
    reader::{Field, Reader},
    section::Section,
};
use std::path::PathBuf;

/// The folder for a callback's calls, and its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordTo {
    pub dir: PathBuf,
    /// The most calls that the folder keeps.
    pub calls: u64,
    /// The most bytes that the folder keeps.
    pub bytes: u64,
    /// The share of calls that is kept, in hundredths of a percent.
    pub sample: u64,
}

impl RecordTo {
    fn into_dir(dir: PathBuf) -> Self {
        Self { dir, calls: 1000, bytes: 64 * 1024 * 1024, sample: 10_000 }
    }
}

/// Reads a folder, or a section with `dir`, `calls`, `bytes` and `sample`.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<RecordTo> {
    let Some(mut section) = Section::of(field) else {
        let dir = reader.text(field).filter(|text| !text.is_empty());
        if dir.is_none() {
            reader.expected(field, "a folder");
        }
        return dir.map(|dir| RecordTo::into_dir(reader.beside_config(&dir)));
    };
    let dir = section.take("dir").and_then(|field| reader.text(&field));
    let dir = dir.filter(|text| !text.is_empty());
    if dir.is_none() {
        reader.error(field, "expected `dir`, a folder, found none");
    }
    let mut record = RecordTo::into_dir(reader.beside_config(dir.as_deref().unwrap_or_default()));
    for (key, into) in [("calls", &mut record.calls), ("bytes", &mut record.bytes)] {
        let Some(field) = section.take(key) else { continue };
        match reader.integer(&field) {
            Some(0) => reader.error(&field, "expected a number above 0, found 0"),
            Some(number) => *into = number,
            None => {}
        }
    }
    if let Some(field) = section.take("sample") {
        let share = reader.text(&field).and_then(|text| text.parse::<Canary>().ok());
        match share.filter(|share| share.from == 0) {
            Some(share) => record.sample = u64::from(share.to),
            None => reader.expected(&field, "a share of the calls, such as `10%`"),
        }
    }
    section.finish_own(reader);
    dir.map(|_| record)
}
