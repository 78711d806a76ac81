//! The location of each setting of an entry, so that a problem is reported at its own line.

use crate::{
    problem::SourceLocation,
    reader::Field,
    yaml::{Kind, Mark},
};
use std::{collections::HashMap, sync::Arc};

/// The locations of an entry's settings, by key path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SettingLocations(Arc<HashMap<String, Marks>>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Marks {
    name: Mark,
    value: Mark,
}

impl SettingLocations {
    /// The locations of all settings below `field`. Recursion is shallow, because the tree is
    /// bounded.
    pub(super) fn of(field: &Field<'_>) -> Self {
        let mut places = HashMap::new();
        gather(field, field.node.mark, &mut places);
        Self(Arc::new(places))
    }

    /// The location of the value at `path`, or of the nearest existing value around it.
    pub(super) fn of_value(&self, path: &str, otherwise: &SourceLocation) -> SourceLocation {
        let mark = around(path).find_map(|path| self.0.get(path)).map(|marks| marks.value);
        place(mark, path, otherwise)
    }

    /// The location of the name of the setting at `path`.
    pub(super) fn of_name(&self, path: &str, otherwise: &SourceLocation) -> SourceLocation {
        let mark = around(path).find_map(|path| self.0.get(path)).map(|marks| marks.name);
        place(mark, path, otherwise)
    }

    pub fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
}

fn place(mark: Option<Mark>, path: &str, otherwise: &SourceLocation) -> SourceLocation {
    match mark {
        Some(mark) => mark.place(&otherwise.file, path),
        None => SourceLocation { path: path.to_owned(), ..otherwise.clone() },
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
