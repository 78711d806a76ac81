//! `plugin new`: writes a crate that builds, passes its tests and lints, and can be loaded at once.

mod api;
mod plan;
mod source;

use super::finished::Finished;
use crate::cli::New;
use api::Api;
use plan::Plan;
use std::{
    fs,
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
};

const CARGO: &str = include_str!("../../../templates/plugin/Cargo.toml.in");
const README: &str = include_str!("../../../templates/plugin/README.md.in");
const CI: &str = include_str!("../../../templates/plugin/ci.yml.in");
const IGNORED: &str = include_str!("../../../templates/plugin/gitignore.in");

pub(super) fn run(options: &New) -> Finished {
    let (plan, api) = match Plan::of(options).and_then(|plan| Ok((plan, Api::of(options)?))) {
        Ok(made) => made,
        Err(misuse) => return Finished::misused(&misuse),
    };
    let folder = options.path.join(&plan.package);
    match write(&plan, &api, &folder) {
        Ok(()) => Finished::ok(as_text(&plan, &api, &folder)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let folder = folder.display();
            let text = format!("`{folder}` is already there; choose another name or `--path`");
            Finished::failed(&text)
        }
        Err(error) => {
            Finished::failed(&format!("`{}` cannot be written: {error}", folder.display()))
        }
    }
}

fn as_text(plan: &Plan, api: &Api, folder: &Path) -> String {
    let (folder, name) = (folder.strip_prefix(".").unwrap_or(folder), &plan.name);
    let note = api.note();
    let built = target(folder).join(format!("release/lib{name}.so"));
    let (folder, built) = (folder.display(), built.display());
    format!(
        "made `{folder}`\n{note}\n\
         next:\n  \
         cargo build --release --manifest-path {folder}/Cargo.toml\n  \
         callgate plugin check {built}\n\n\
         then list it in a config:\n  \
         litellm_settings:\n    \
         callbacks: [{{name: {name}, path: {built}}}]\n"
    )
}

/// The folder in which cargo builds the crate.
fn target(folder: &Path) -> PathBuf {
    let chosen = std::env::var_os("CARGO_TARGET_DIR").filter(|chosen| !chosen.is_empty());
    chosen.map_or_else(|| folder.join("target"), PathBuf::from)
}

/// Writes all files; removes them if one cannot be written.
fn write(plan: &Plan, api: &Api, folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    // Fails if anything exists there, even a dangling link.
    fs::create_dir(folder)?;
    let target = target(&fs::canonicalize(folder)?).join("release");
    let fill = |template: &str| {
        template
            .replace("{package}", &plan.package)
            .replace("{name}", &plan.name)
            .replace("{api}", &api.dependency())
            .replace("{target}", &target.display().to_string())
    };
    let files = [
        (PathBuf::from("Cargo.toml"), fill(CARGO)),
        (PathBuf::from("README.md"), fill(README)),
        (PathBuf::from(".gitignore"), IGNORED.to_owned()),
        (PathBuf::from(".github/workflows/ci.yml"), fill(CI)),
        (PathBuf::from("src/lib.rs"), source::lib(plan)),
        (PathBuf::from("src/tests.rs"), source::tests(plan)),
    ];
    let written = files.into_iter().chain(api.files()).try_for_each(|(name, text)| {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create_new(path)?.write_all(text.as_bytes())
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(folder);
    }
    written
}
