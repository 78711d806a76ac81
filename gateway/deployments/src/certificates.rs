//! The variables that name trusted certificates. Their files are checked at startup; otherwise
//! every `https` call would fail without naming the cause. Pipes and devices are refused, because
//! reading one could block forever.

use super::Deployments;
use callgate_config::{
    Environment, Problem, quoted,
    regular_file::{self, ReadError},
};
use std::{env, ffi::OsStr, fs, path::Path};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// The beginning of a certificate, and the largest size of a certificate file in MiB.
const BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";
const MOST: u64 = 64;

/// The problems of both variables, if an upstream uses `https` or a callback may do so.
/// might reach a server so.
pub fn certificate_problems(
    environment: &Environment,
    deployments: &Deployments,
    has_callbacks: bool,
) -> Vec<Problem> {
    let secure = |base: &String| base.to_ascii_lowercase().starts_with("https:");
    let called = deployments.all().iter().filter(|it| it.mock_response.is_none());
    if !has_callbacks && !called.filter_map(|it| it.api_base.set()).any(secure) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for name in [FILE, FOLDERS] {
        match env::var_os(name).filter(|value| !value.is_empty()) {
            Some(value) if name == FILE => problems.extend(of_file(Path::new(&value))),
            Some(value) => problems.extend(of_folders(&value)),
            None if environment.filled_var(name).is_some() => {
                let text = "it is not used from the environment file";
                let remedy = "set it in the environment the gateway is started with";
                problems.push(Problem::warning(Environment::place_of(name), text).remedy(remedy));
            }
            None => {}
        }
    }
    problems
}

fn of_file(path: &Path) -> Option<Problem> {
    let found = match certificates_in(path) {
        Ok(true) => return None,
        Ok(false) => "one without certificates".to_owned(),
        Err(ReadError::NotRegular(what)) => return Some(waited_for(FILE, path, what)),
        Err(error) => error.to_string(),
    };
    let text = format!(
        "expected a file with PEM certificates at `{}`, found {found}",
        quoted(&path.to_string_lossy())
    );
    Some(useless(FILE, text))
}

/// The TLS library reads every folder of the list whole, at the first call that needs it.
fn of_folders(list: &OsStr) -> Vec<Problem> {
    let (mut problems, mut trusted) = (Vec::new(), false);
    for folder in env::split_paths(list).filter(|path| !path.as_os_str().is_empty()) {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                let text = format!(
                    "expected a folder of PEM certificates at `{}`, found {error}",
                    quoted(&folder.to_string_lossy())
                );
                problems.push(useless(FOLDERS, text));
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            match certificates_in(&path) {
                Err(ReadError::NotRegular(what)) if !path.is_dir() => {
                    problems.push(waited_for(FOLDERS, &path, what));
                }
                found => trusted |= found.unwrap_or_default(),
            }
        }
    }
    if !trusted && problems.is_empty() && env::var_os(FILE).is_none_or(|it| it.is_empty()) {
        let text = format!(
            "expected folders with PEM certificates, found none in `{}`",
            quoted(&list.to_string_lossy())
        );
        problems.push(useless(FOLDERS, text));
    }
    problems
}

fn certificates_in(path: &Path) -> Result<bool, ReadError> {
    let bytes = regular_file::read(path, MOST)?;
    Ok(memchr::memmem::find(&bytes, BEGINS).is_some())
}

fn useless(variable: &str, text: String) -> Problem {
    Problem::warning(Environment::place_of(variable), text)
        .remedy("no server can be reached by `https` until it has some, or is not set")
}

fn waited_for(variable: &str, path: &Path, what: &str) -> Problem {
    let text = format!(
        "expected a file with PEM certificates at `{}`, found {what}",
        quoted(&path.to_string_lossy())
    );
    Problem::error(Environment::place_of(variable), text).remedy("name a file, or unset it")
}
