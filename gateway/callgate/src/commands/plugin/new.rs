//! `plugin new`: writes a crate that builds, passes its tests and lints, and can be loaded at once.

mod plan;
mod source;

use super::finished::Finished;
use crate::cli::New;
use plan::Plan;
use plugin_api::abi::ApiVersion;
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
    let (plan, api) = match Plan::of(options).and_then(|plan| Ok((plan, dependency(options)?))) {
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

fn as_text(plan: &Plan, api: &str, folder: &Path) -> String {
    let (folder, name) = (folder.strip_prefix(".").unwrap_or(folder).display(), &plan.name);
    let published = if api.starts_with("version") {
        "it depends on the published `callgate-plugin-api`; `--api-path` names a checkout instead\n"
    } else {
        ""
    };
    format!(
        "made `{folder}`\n{published}\n\
         next:\n  \
         cargo build --release --manifest-path {folder}/Cargo.toml\n  \
         callgate plugin check {folder}/target/release/lib{name}.so\n\n\
         then list it in a config:\n  \
         litellm_settings:\n    \
         callbacks: [{{name: {name}, path: {folder}/target/release/lib{name}.so}}]\n"
    )
}

/// The dependency on `callgate-plugin-api`: as the options say, otherwise the crate beside which
/// this program was built.
fn dependency(options: &New) -> Result<String, String> {
    let by_path = |folder: &Path| {
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).ok()?;
        let is_api = manifest.contains("name = \"callgate-plugin-api\"");
        let folder = is_api.then(|| fs::canonicalize(folder).ok()).flatten()?;
        // TOML and JSON strings have the same syntax here.
        Some(format!("path = {}", serde_json::to_string(folder.to_str()?).ok()?))
    };
    if let Some(folder) = &options.api_path {
        return by_path(folder).ok_or_else(|| {
            let folder = folder.display();
            format!("`--api-path`: expected the folder of the crate `callgate-plugin-api`, found none at `{folder}`")
        });
    }
    let version = |text: &str| format!("version = \"{text}\"");
    if let Some(given) = &options.api_version {
        let part = |part: &str| !part.is_empty() && part.chars().all(|it| it.is_ascii_digit());
        let is_version = (1..=3).contains(&given.split('.').count()) && given.split('.').all(part);
        return if is_version {
            Ok(version(given))
        } else {
            Err(format!(
                "`--api-version`: expected a version like `1.0`, found `{}`",
                given.escape_debug()
            ))
        };
    }
    let beside = || by_path(&build_root()?.join("plugin-api"));
    Ok(beside().unwrap_or_else(|| version(&ApiVersion::CURRENT.to_string())))
}

/// The repository in which this program was built: two folders above `target/<profile>`.
fn build_root() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?;
    executable.ancestors().nth(3).map(Path::to_owned)
}

/// Writes all files; removes them if one cannot be written.
fn write(plan: &Plan, api: &str, folder: &Path) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    // Fails if anything exists there, even a dangling link.
    fs::create_dir(folder)?;
    let target = fs::canonicalize(folder)?.join("target/release");
    let fill = |template: &str| {
        template
            .replace("{package}", &plan.package)
            .replace("{name}", &plan.name)
            .replace("{api}", api)
            .replace("{target}", &target.display().to_string())
    };
    let files = [
        ("Cargo.toml", fill(CARGO)),
        ("README.md", fill(README)),
        (".gitignore", IGNORED.to_owned()),
        (".github/workflows/ci.yml", fill(CI)),
        ("src/lib.rs", source::lib(plan)),
        ("src/tests.rs", source::tests(plan)),
    ];
    let written = files.iter().try_for_each(|(name, text)| {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::File::create_new(path)?.write_all(text.as_bytes())
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(folder);
    }
    written
}
