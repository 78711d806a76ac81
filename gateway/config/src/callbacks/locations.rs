//! The location of each setting of an entry, so that a problem is reported at its own line.

use crate::{
    problem::SourceLocation,
    reader::{Field, Reader},
    yaml::{Kind, Mark},
};
use std::{collections::HashMap, path::Path, sync::Arc};

/// The locations of an entry's settings, by key path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingLocations {
    marks: Arc<HashMap<String, Marks>>,
    /// The file that has them.
    file: Option<Arc<Path>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Marks {
    name: Mark,
    value: Mark,
}

impl SettingLocations {
    /// The locations of all settings below `field`. Recursion is shallow, because the tree is
    /// bounded.
    pub(super) fn of(reader: &Reader<'_>, field: &Field<'_>) -> Self {
        let mut places = HashMap::new();
        gather(field, field.node.mark, &mut places);
        Self { marks: Arc::new(places), file: Some(reader.place(field).file) }
    }

    /// The location of the value at `path`, or of the nearest existing value around it.
    pub(super) fn of_value(&self, path: &str, otherwise: &SourceLocation) -> SourceLocation {
        let mark = around(path).find_map(|path| self.marks.get(path)).map(|marks| marks.value);
        self.place(mark, path, otherwise)
    }

    /// The location of the name of the setting at `path`.
    pub(super) fn of_name(&self, path: &str, otherwise: &SourceLocation) -> SourceLocation {
        let mark = around(path).find_map(|path| self.marks.get(path)).map(|marks| marks.name);
        self.place(mark, path, otherwise)
    }

    fn place(&self, mark: Option<Mark>, path: &str, otherwise: &SourceLocation) -> SourceLocation {
        match (mark, &self.file) {
            (Some(Mark { line, column, .. }), Some(file)) => {
                SourceLocation { file: Arc::clone(file), line, column, path: path.to_owned() }
            }
            _ => SourceLocation { path: path.to_owned(), ..otherwise.clone() },
        }
    }

    pub fn has(&self, path: &str) -> bool {
        self.marks.contains_key(path)
    }
}

/// A path and its parents: `a.b[0].c`, `a.b[0]`, `a.b`, `a`.
fn around(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind(['.', '[']).map(|end| &path[..end]))
}

fn gather(field: &Field<'_>, name: Mark, into: &mut HashMap<String, Marks>) {
    into.insert(field.path.clone(), Marks { name, value: field.node.mark });
    match &field.node.kind {
        Kind::Sequence(items) => {
            for (index, node) in items.iter().enumerate() {
                let path = format!("{}[{index}]", field.path);
                gather(&Field { node, path }, node.mark, into);
            }
        }
        Kind::Mapping(entries) => {
            for entry in entries {
                let path = setting_path(&field.path, &entry.key);
                gather(&Field { node: &entry.value, path }, entry.mark, into);
            }
        }
        Kind::Scalar(_) => {}
    }
}

/// The key path of the member `name` of the value at `path`; a name that looks like a path is
/// quoted.
pub fn setting_path(path: &str, name: &str) -> String {
    if name.is_empty() || name.contains(['.', '[', ']', ' ', '"']) {
        format!("{path}[{name:?}]")
    } else {
        format!("{path}.{name}")
    }
}
