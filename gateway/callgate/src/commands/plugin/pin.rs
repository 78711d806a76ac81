//! `plugin pin`: writes the hash of every callback's file into the config. The file is replaced as
//! a whole and keeps its mode and owner; if it changed meanwhile, it is not written.

use super::{finished::Finished, inspect::sentence, select::config_of};
use crate::{boot, cli::Pin};
use callgate_config::{
    CallbackEntry,
    pin::{self, PinEdit},
    regular_file,
};
use callgate_plugin_host::{Lookup, PluginInfo, SearchPath};
use callgate_telemetry::columns::table;
use std::{
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// In MiB; a config is much smaller.
const MOST: u64 = 16;

const CHANGED: &str = "it changed while it was read; run this again";

pub(super) fn run(options: &Pin) -> Finished {
    match try_run(options) {
        Ok(text) => Finished::ok(text),
        Err(complaints) => {
            let lines: String = complaints.iter().map(|line| format!("error: {line}\n")).collect();
            Finished { complaint: lines, code: 1, ..Finished::default() }
        }
    }
}

fn try_run(options: &Pin) -> Result<String, Vec<String>> {
    let main = &options.files.config.path;
    // Read again below, after the text that is edited.
    let path = file_of_list(options)?;
    let about = |error: &dyn std::fmt::Display| vec![format!("{}: {error}", path.display())];
    let before = regular_file::read(&path, MOST).map_err(|error| about(&error))?;
    let (config, problems) = config_of(main, options.files.env_file.as_deref())?;
    if !problems.is_empty() {
        return Err(problems);
    }
    let text = String::from_utf8(before).map_err(|_| about(&"not UTF-8 text"))?;
    let search = boot::search_path(options.files.plugin_dir.as_deref(), main, &config.gateway);
    let listed = config.callbacks.iter().filter(|entry| !entry.only_observes);
    let entries: Vec<_> = listed.map(|entry| Found::of(entry, &search)).collect();
    let missing: Vec<_> = entries.iter().filter_map(Found::complaint).collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    let hashes: Vec<_> =
        entries.iter().filter_map(|it| Some((it.entry.position, it.hash.clone()?))).collect();
    let edits = if hashes.is_empty() {
        Vec::new()
    } else {
        pin::edits(&text, &hashes).map_err(|error| about(&error))?
    };
    if !options.dry_run && !edits.is_empty() {
        replace(&path, text.as_bytes(), pin::apply(&text, &edits).as_bytes())
            .map_err(|error| about(&error))?;
    }
    Ok(as_text(options, &path, &text, &edits, &entries))
}

/// The file that lists the callbacks: the config, or one that it includes. LiteLLM's lists of
/// callbacks that observe hold names alone, which have no place for a hash.
fn file_of_list(options: &Pin) -> Result<PathBuf, Vec<String>> {
    let main = &options.files.config.path;
    let (config, _) = config_of(main, options.files.env_file.as_deref())?;
    let first = config.callbacks.iter().find(|entry| !entry.only_observes);
    Ok(first.map_or_else(|| main.clone(), |entry| entry.place.file.to_path_buf()))
}

/// An entry and the hash of its file. An existing pin is ignored, because it may be out of date.
struct Found<'e> {
    entry: &'e CallbackEntry,
    file: Option<PathBuf>,
    hash: Option<String>,
    problem: Option<String>,
}

impl<'e> Found<'e> {
    fn of(entry: &'e CallbackEntry, search: &SearchPath) -> Self {
        let resolved = Lookup::of(entry, search);
        let info = resolved.file.as_deref().map(PluginInfo::of);
        let reason = match &info {
            Some(info) => info.reasons.first().map(sentence),
            None => resolved.problem.as_ref().map(sentence),
        };
        let hash = info.filter(|info| info.loadable).map(|info| info.sha256);
        Self { entry, file: resolved.file, hash, problem: reason }
    }

    /// Why nothing is pinned.
    fn complaint(&self) -> Option<String> {
        let entry = self.entry;
        let problem = self.problem.as_ref().filter(|_| entry.required)?;
        Some(format!("entry {}, `{}`: {problem}", entry.position + 1, entry.name))
    }

    fn row(&self) -> [String; 3] {
        let hash = self.hash.as_ref().and_then(|hash| hash.get(..12));
        let file = self.file.as_ref().map(|file| file.display().to_string());
        [
            hash.unwrap_or("not pinned").to_owned(),
            self.entry.name.clone(),
            file.unwrap_or_else(|| "no file, and not `required`".to_owned()),
        ]
    }
}

fn as_text(
    options: &Pin,
    path: &Path,
    text: &str,
    edits: &[PinEdit],
    entries: &[Found<'_>],
) -> String {
    let mut told = if options.dry_run { difference(text, edits) } else { String::new() };
    let rows: Vec<_> = entries.iter().map(Found::row).collect();
    if !rows.is_empty() {
        told.push_str(&table(["sha256", "callback", "file"], &rows));
    }
    let config = path.display();
    let _ = match (edits.len(), options.dry_run) {
        (0, _) => writeln!(told, "{config}: nothing to change"),
        (_, true) => writeln!(told, "{config}: not changed (dry run)"),
        (_, false) => writeln!(told, "{config}: pinned"),
    };
    told
}

/// The changed lines, as in `diff`.
fn difference(text: &str, edits: &[PinEdit]) -> String {
    let start_of = |at: usize| text.get(..at).and_then(|it| it.rfind('\n')).map_or(0, |it| it + 1);
    let end_of = |at: usize| {
        let rest = text.get(at..).unwrap_or_default();
        at + rest.find('\n').unwrap_or(rest.len())
    };
    let (mut told, mut edits) = (String::new(), edits.iter().peekable());
    while let Some(first) = edits.next() {
        let (start, mut end) = (start_of(first.start), end_of(first.end));
        let mut group = vec![first];
        // Changes of one line are shown together.
        while let Some(next) = edits.next_if(|next| next.start <= end) {
            end = end.max(end_of(next.end));
            group.push(next);
        }
        let old = text.get(start..end).unwrap_or_default();
        let moved = group.into_iter().map(|edit| PinEdit {
            start: edit.start - start,
            end: edit.end - start,
            text: edit.text.clone(),
        });
        let new = pin::apply(old, &moved.collect::<Vec<_>>());
        let line = text.get(..start).unwrap_or_default().matches('\n').count() + 1;
        let _ = writeln!(told, "@@ line {line}");
        old.lines().for_each(|line| told.push_str(&format!("-{line}\n")));
        new.lines().for_each(|line| told.push_str(&format!("+{line}\n")));
    }
    told
}

/// Replaces the file by `new`, if it still contains `old`.
fn replace(path: &Path, old: &[u8], new: &[u8]) -> io::Result<()> {
    // A link is resolved first.
    let path = fs::canonicalize(path)?;
    let metadata = fs::metadata(&path)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    let mut file = tempfile::Builder::new().prefix(".callgate-pin-").tempfile_in(folder)?;
    file.write_all(new)?;
    let mode = fs::Permissions::from_mode(metadata.permissions().mode());
    // Only root can change the owner; for other users it is the right one already.
    let _ = std::os::unix::fs::fchown(&file, Some(metadata.uid()), Some(metadata.gid()));
    file.as_file().set_permissions(mode)?;
    file.as_file().sync_all()?;
    if fs::read(&path)? != old {
        return Err(io::Error::other(CHANGED));
    }
    file.persist(&path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_in_between_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        fs::write(&path, "theirs").unwrap();
        assert_eq!(replace(&path, b"old", b"new").unwrap_err().to_string(), CHANGED);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn mode_and_link_stay() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("c.yaml"), folder.path().join("link.yaml"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        replace(&link, b"old", b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn changed_lines_are_shown_once() {
        let edit = |start, end, text: &str| PinEdit { start, end, text: text.to_owned() };
        let edits = [edit(4, 5, "B"), edit(6, 7, "C"), edit(8, 9, "d\ne")];
        assert_eq!(
            difference("one\nb c\nd\n", &edits),
            "@@ line 2\n-b c\n+B C\n@@ line 3\n-d\n+d\n+e\n"
        );
    }
}
