//! `plugin list`: the plugins that the resolver finds. Nothing is executed, and a stray file is one
//! row.

use super::{
    finished::{Finished, as_json},
    inspect::sentence,
    select::config_of,
};
use crate::{boot, cli::List};
use callgate_config::Config;
use callgate_plugin_host::{Lookup, PluginInfo, SearchPath};
use callgate_telemetry::{columns::table, counted::counted};
use serde::Serialize;
use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

#[derive(Serialize)]
struct Listing {
    folders: Vec<Folder>,
    entries: Vec<Lookup>,
    /// Why the config's entries could not be read, or only in part.
    config_problems: Vec<String>,
}

#[derive(Serialize)]
struct Folder {
    path: PathBuf,
    exists: bool,
    files: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    /// The name that a config would use: `rate_limit` for `librate_limit.so`.
    name: Option<String>,
    /// Whether that name resolves to this file, and not to one in an earlier folder.
    wins: bool,
    #[serde(flatten)]
    info: PluginInfo,
}

pub(super) fn run(options: &List) -> Finished {
    let (config, config_problems) = read_config(options);
    let settings = config.as_ref().map(|config| config.gateway.clone()).unwrap_or_default();
    let search = boot::search_path(
        options.files.plugin_dir.as_deref(),
        &options.files.config.path,
        &settings,
    );
    let mut taken = HashSet::new();
    let folders = search.folders().iter().map(|path| folder(path, &mut taken)).collect();
    let entries = config.map(|config| config.callbacks).unwrap_or_default();
    let entries = entries.iter().map(|entry| Lookup::of(entry, &search)).collect();
    let listing = Listing { folders, entries, config_problems };
    let text = if options.json { as_json(&listing) } else { as_text(&listing, &search) };
    let good = listing.entries.iter().all(|entry| entry.usable || !entry.required)
        && listing.config_problems.is_empty();
    Finished::judged(text, good)
}

/// Reads as much of the config as possible. It is not a problem if the default config is missing.
fn read_config(options: &List) -> (Option<Config>, Vec<String>) {
    if options.files.config.path == Path::new("config.yaml") && !options.files.config.path.exists()
    {
        return (None, Vec::new());
    }
    match config_of(&options.files.config.path, options.files.env_file.as_deref()) {
        Ok((config, problems)) => (Some(config), problems),
        Err(problems) => (None, problems),
    }
}

fn folder(path: &Path, taken: &mut HashSet<String>) -> Folder {
    let entries = fs::read_dir(path);
    let exists = entries.is_ok();
    let mut files: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "so"))
        .collect();
    files.sort();
    let files = files.into_iter().map(|file| {
        let stem = file.file_stem().and_then(|stem| stem.to_str());
        let name = stem.and_then(|stem| stem.strip_prefix("lib")).map(str::to_owned);
        let wins = name.as_ref().is_some_and(|name| taken.insert(name.clone()));
        Found { name, wins, info: PluginInfo::of(&file) }
    });
    Folder { path: path.to_owned(), exists, files: files.collect() }
}

fn as_text(listing: &Listing, search: &SearchPath) -> String {
    let mut text = String::new();
    let mut rows = Vec::new();
    for folder in &listing.folders {
        let shown = folder.path.display();
        text.push_str(&match (folder.exists, folder.files.len()) {
            (false, _) => format!("{shown}: no such folder\n"),
            (true, 0) => format!("{shown}: no plugins\n"),
            (true, count) => format!("{shown}: {}\n", counted(count, "file")),
        });
        rows.extend(folder.files.iter().map(row));
    }
    if search.folders().is_empty() {
        text.push_str("no folders\n");
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(["file", "name", "version", "abi", "callbacks", "state"], &rows));
    }
    if !listing.entries.is_empty() {
        let rows: Vec<_> = listing.entries.iter().map(entry_row).collect();
        text.push('\n');
        text.push_str(&table(["#", "entry", "file", "state"], &rows));
    }
    for problem in &listing.config_problems {
        text.push_str(&format!("error: {problem}\n"));
    }
    text
}

fn row(found: &Found) -> [String; 6] {
    let info = &found.info;
    let names = info.callbacks.iter().map(|callback| callback.name.as_str());
    let state = match info.reasons.first() {
        Some(reason) => format!("not loadable: {}", sentence(reason)),
        None if found.name.is_none() => {
            "found by its path only: no `lib` before its name".to_owned()
        }
        None if !found.wins => "hidden by an earlier folder".to_owned(),
        None => "loadable".to_owned(),
    };
    [
        info.file.display().to_string(),
        found.name.clone().unwrap_or_default(),
        info.version.clone().unwrap_or_default(),
        info.abi.clone().unwrap_or_default(),
        names.collect::<Vec<_>>().join(" "),
        state,
    ]
}

fn entry_row(entry: &Lookup) -> [String; 4] {
    let file = entry.file.as_ref().map(|file| file.display().to_string());
    [
        (entry.position + 1).to_string(),
        entry.name.clone(),
        file.unwrap_or_else(|| "none".to_owned()),
        entry.problem.as_ref().map_or_else(|| "usable".to_owned(), sentence),
    ]
}
