//! The folders in which callbacks keep what must survive a restart: one for each entry, made when
//! it first asks.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};
use tempfile::TempDir;

/// Makes a folder that only the gateway's user can write to, or checks that it is one. Returns what
/// is wrong otherwise.
pub type OpenFolder = fn(&Path) -> Result<(), String>;

/// The state folders of all entries.
#[derive(Debug)]
pub(super) struct StateFolders {
    root: Root,
    /// By entry; `None` if it has none, which has been logged.
    made: Mutex<BTreeMap<Box<str>, Option<String>>>,
}

#[derive(Debug)]
enum Root {
    Kept {
        folder: Option<PathBuf>,
        open: OpenFolder,
    },
    /// A folder that is removed at the end, because nothing is served.
    Temporary(OnceLock<Option<TempDir>>),
}

impl StateFolders {
    /// Folders below this one; `None` if there is no place for it.
    pub(super) fn below(folder: Option<PathBuf>, open: OpenFolder) -> Self {
        Self { root: Root::Kept { folder, open }, made: Mutex::default() }
    }

    pub(super) fn temporary() -> Self {
        Self { root: Root::Temporary(OnceLock::new()), made: Mutex::default() }
    }

    /// The folder of an entry.
    pub(super) fn of(&self, entry: &str) -> Option<String> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(entry) {
            return known.clone();
        }
        let folder = self.make(entry).map_err(|error| {
            tracing::warn!(
                target: "callgate::host", { callback.name = entry },
                "the callback gets no folder for its state: {error}; set `callgate.state_dir`"
            );
        });
        made.entry(entry.into()).or_insert(folder.ok()).clone()
    }

    fn make(&self, entry: &str) -> Result<String, String> {
        let path = match &self.root {
            Root::Kept { folder, open } => {
                let nowhere = "expected `$XDG_STATE_HOME` or `$HOME`, found none of them";
                let path = folder.as_ref().ok_or(nowhere)?.join(escaped(entry));
                open(&path)?;
                path
            }
            Root::Temporary(root) => {
                let make = || tempfile::Builder::new().prefix("callgate-state-").tempdir().ok();
                let root = root.get_or_init(make).as_ref();
                let path = root.ok_or("expected a temporary folder")?.path().join(escaped(entry));
                fs::create_dir(&path).map_err(|error| error.to_string())?;
                path
            }
        };
        let odd =
            |path| format!("expected a path in UTF-8, found `{}`", PathBuf::from(path).display());
        path.into_os_string().into_string().map_err(odd)
    }
}

/// An entry's name as one that a folder may have: other bytes than letters, digits, `-`, `_` and
/// inner dots become `%41`.
fn escaped(entry: &str) -> String {
    let mut name = String::new();
    for (index, byte) in entry.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && index > 0) {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_entries_are_names_of_folders() {
        for (entry, expected) in [
            ("rate_limit-2.b", "rate_limit-2.b"),
            ("..", "%2E."),
            ("../x", "%2E.%2Fx"),
            ("a b", "a%20b"),
            ("%41", "%2541"),
            ("ü", "%C3%BC"),
        ] {
            assert_eq!(escaped(entry), expected);
        }
    }

    #[test]
    fn each_entry_has_its_own_and_a_refusal_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let open: OpenFolder = |path| match path.ends_with("refused") {
            true => Err("no".to_owned()),
            false => fs::create_dir_all(path).map_err(|error| error.to_string()),
        };
        let state = StateFolders::below(Some(folder.path().to_owned()), open);
        let one = state.of("one").expect("made");
        assert_eq!(Path::new(&one), folder.path().join("one"));
        assert_eq!(state.of("one"), Some(one));
        assert!(state.of("two").is_some_and(|two| Path::new(&two).is_dir()));
        assert_eq!((state.of("refused"), state.of("refused")), (None, None));
        assert_eq!(StateFolders::below(None, open).of("one"), None);
    }

    #[test]
    fn a_temporary_folder_goes_with_its_services() {
        let state = StateFolders::temporary();
        let one = state.of("one").expect("made");
        fs::write(Path::new(&one).join("file"), "x").expect("written");
        assert!(Path::new(&one).is_dir());
        drop(state);
        assert!(!Path::new(&one).exists());
    }
}
