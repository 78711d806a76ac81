//! How an entry names its plugin: a plain or dotted name, a file's name, or a path.

use super::entry::CallbackEntry;
use crate::reader::Reader;
use std::path::Path;

impl CallbackEntry {
    /// Takes `src.callbacks.rate_limit` as the name `rate_limit`, which is also looked up in the
    /// folder `src/callbacks`; text with a `/` is a path.
    pub(super) fn is_called(&mut self, reader: &Reader<'_>, text: String) {
        if text.contains('/') {
            stem(&text).clone_into(&mut self.name);
            self.file = Some(reader.beside_config(&text));
        } else if is_file_name(&text) {
            stem(&text).clone_into(&mut self.name);
        } else {
            last_segment(&text).clone_into(&mut self.name);
            self.folder = folder(&text).map(|folder| reader.beside_config(&folder));
        }
        self.written = text;
    }

    /// Goes by the whole of its dotted name if another one has the same last part.
    pub(super) fn is_told_apart_from(&mut self, other: &Self) {
        let are_dotted = self.folder.is_some() && other.folder.is_some();
        if self.instance.is_none() && are_dotted && self.written != other.written {
            self.instance = Some(self.written.clone());
        }
    }
}

/// `rate_limit` of `x/librate_limit.so`.
pub(super) fn stem(path: &str) -> &str {
    let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    stem.strip_prefix("lib").unwrap_or(stem)
}

/// Whether the text is like `libx.so`, which has no folder: it is neither a name nor, without a
/// `/`, a path.
pub fn is_file_name(text: &str) -> bool {
    text.strip_suffix(".so").is_some_and(|stem| !stem.is_empty() && !text.contains('/'))
}

/// `src/callbacks` of `src.callbacks.rate_limit`; `None` without dots.
fn folder(name: &str) -> Option<String> {
    let (folder, _) = name.rsplit_once('.')?;
    let whole = folder.split('.').all(|segment| !segment.is_empty());
    whole.then(|| folder.replace('.', "/"))
}

/// `rate_limit` of `src.callbacks.rate_limit`.
pub(super) fn last_segment(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
