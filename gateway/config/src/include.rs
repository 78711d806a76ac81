//! `include`: other config files whose lists are added to those of the config, and whose other keys
//! come beside its own, as in LiteLLM. LiteLLM lets a later file replace a whole section without a
//! word; here a key that is given twice is an error.
//!
//! A file is named relative to the one that includes it, else to the config. One that is included
//! twice counts once; one that includes itself is refused.

use super::{
    problem::{Problem, SourceLocation},
    quote::quoted,
    read_text,
    yaml::{self, Entry, Kind, Mark, Node},
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

const KEY: &str = "include";

/// The most files of a config.
const MOST: usize = 100;

/// The files of a config, of which the first is the config itself.
pub(super) type Files = Vec<Arc<Path>>;

/// A file that is named and not read yet.
struct Named {
    path: PathBuf,
    place: SourceLocation,
    /// The files that lead to it, as they really are.
    through: Vec<PathBuf>,
}

struct Merge {
    files: Files,
    /// The files that were read, as they really are.
    read: Vec<PathBuf>,
    entries: Vec<Entry>,
    problems: Vec<Problem>,
}

/// Adds the files that `root` includes, and those that they include.
pub(super) fn merged(file: &Arc<Path>, root: Node) -> (Node, Files, Vec<Problem>) {
    let Node { mark, kind: Kind::Mapping(entries) } = root else {
        return (root, vec![Arc::clone(file)], Vec::new());
    };
    let itself = real(file);
    let mut merge = Merge {
        files: vec![Arc::clone(file)],
        read: vec![itself.clone()],
        entries,
        problems: Vec::new(),
    };
    let mut waiting = VecDeque::from(merge.named_by(0, merge.entries.clone(), &[itself]));
    while let Some(named) = waiting.pop_front() {
        waiting.extend(merge.add(named));
    }
    (Node { mark, kind: Kind::Mapping(merge.entries) }, merge.files, merge.problems)
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

impl Merge {
    /// The files that a file of the config includes.
    fn named_by(&mut self, file: u16, entries: Vec<Entry>, through: &[PathBuf]) -> Vec<Named> {
        let Some(entry) = entries.into_iter().find(|entry| entry.key == KEY) else {
            return Vec::new();
        };
        let place = |mark: Mark, path: &str| mark.place(&self.files, path);
        let Kind::Sequence(items) = entry.value.kind else {
            let found = entry.value.describe();
            let text = format!("expected a list of files, found {found}");
            self.problems.push(Problem::error(place(entry.value.mark, KEY), text));
            return Vec::new();
        };
        let mut named = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let place = place(item.mark, &format!("{KEY}[{index}]"));
            match &item.kind {
                Kind::Scalar(scalar) if !scalar.text.trim().is_empty() => named.push(Named {
                    path: self.beside(file, scalar.text.trim()),
                    place,
                    through: through.to_vec(),
                }),
                _ => {
                    let text = format!("expected a file's name, found {}", item.describe());
                    self.problems.push(Problem::error(place, text));
                }
            }
        }
        named
    }

    /// A path as a file of the config means it.
    fn beside(&self, file: u16, name: &str) -> PathBuf {
        let from = |file: usize| {
            let folder = self.files.get(file).and_then(|it| it.parent());
            folder.unwrap_or(Path::new("")).join(name)
        };
        let (own, config) = (from(usize::from(file)), from(0));
        if !own.exists() && config.exists() { config } else { own }
    }

    /// Reads a file and adds its keys; returns the files that it includes.
    fn add(&mut self, named: Named) -> Vec<Named> {
        let Named { path, place, mut through } = named;
        let itself = real(&path);
        let shown = quoted(&path.to_string_lossy());
        if through.contains(&itself) {
            let text = format!("`{shown}` includes itself");
            self.problems.push(Problem::error(place, text).remedy("remove it here"));
            return Vec::new();
        }
        if self.read.contains(&itself) {
            return Vec::new();
        }
        if self.files.len() >= MOST {
            let text = format!("expected at most {MOST} files, found more");
            self.problems.push(Problem::error(place, text));
            return Vec::new();
        }
        let entries = match self.read_file(&path) {
            Ok(entries) => entries,
            Err(reason) => {
                let text = format!("the included file `{shown}` cannot be used: {reason}");
                self.problems.push(Problem::error(place, text));
                return Vec::new();
            }
        };
        self.read.push(itself.clone());
        through.push(itself);
        let file = u16::try_from(self.files.len() - 1).unwrap_or_default();
        let waiting = self.named_by(file, entries.clone(), &through);
        entries.into_iter().filter(|entry| entry.key != KEY).for_each(|entry| self.insert(entry));
        waiting
    }

    /// The members of a file, whose positions then name it.
    fn read_file(&mut self, path: &Path) -> Result<Vec<Entry>, String> {
        let text = read_text(path).map_err(|error| error.to_string())?;
        let file: Arc<Path> = Arc::from(path);
        let document = yaml::parse(&file, &text).map_err(|problem| problem.to_string())?;
        self.problems.extend(document.problems);
        self.files.push(file);
        let number = u16::try_from(self.files.len() - 1).unwrap_or_default();
        let Some(mut root) = document.root.filter(|root| !root.is_null()) else {
            return Ok(Vec::new());
        };
        root.is_in_file(number);
        match root.kind {
            Kind::Mapping(entries) => Ok(entries),
            _ => Err(format!("expected a mapping, found {}", root.describe())),
        }
    }

    /// Adds a member of an included file: lists grow, anything else may be given once.
    fn insert(&mut self, entry: Entry) {
        let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) else {
            self.entries.push(entry);
            return;
        };
        match (&mut known.value.kind, entry.value.kind) {
            (Kind::Sequence(items), Kind::Sequence(more)) => items.extend(more),
            _ => {
                let first = known.mark.place(&self.files, "");
                let key = quoted(&entry.key);
                let text = format!("`{key}` is already given at {first}");
                let remedy = "keep it in one file; LiteLLM would use the included one alone";
                let place = entry.mark.place(&self.files, &entry.key);
                self.problems.push(Problem::error(place, text).remedy(remedy));
            }
        }
    }
}
