//! Lists the sources of `callgate-plugin-api`, which `callgate plugin new` writes beside a plugin.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let variable = |name| PathBuf::from(env::var_os(name).unwrap_or_default());
    let package = variable("CARGO_MANIFEST_DIR").join("../../plugin-api").canonicalize()?;
    println!("cargo::rerun-if-changed={}", package.display());
    let mut files = vec![package.join("Cargo.toml")];
    add_sources(&package.join("src"), &mut files)?;
    files.sort();
    let entries = files.iter().map(|file| {
        let name = file.strip_prefix(&package).unwrap_or(file);
        format!("({name:?}, include_str!({file:?})),\n")
    });
    let list = format!("&[\n{}]\n", entries.collect::<String>());
    fs::write(variable("OUT_DIR").join("plugin_api.rs"), list)
}

/// Adds the sources below `folder`, without the tests of the layout.
fn add_sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_stem().is_some_and(|stem| stem == "layout") {
            continue;
        }
        if path.is_dir() {
            add_sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
