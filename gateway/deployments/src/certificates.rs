//! The variables that name trusted certificates. Their files are checked at startup; otherwise
//! every `https` call would fail without naming the cause. Pipes and devices are refused, because
//! reading one could block forever.

use super::{Deployments, tls_files::MOST};
use callgate_config::{
    Environment, Problem, quoted,
    regular_file::{self, ReadError},
};
use callgate_upstream::SystemCertificates;
use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

const FILE: &str = "SSL_CERT_FILE";
const FOLDERS: &str = "SSL_CERT_DIR";

/// The beginning of a certificate.
const BEGINS: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The certificates that this machine trusts, as the variables say.
pub(super) fn system(environment: &Environment) -> SystemCertificates {
    let file = value(environment, FILE).map(PathBuf::from);
    let folders = value(environment, FOLDERS).unwrap_or_default();
    let folders = env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty());
    SystemCertificates::new(file, folders.collect())
}

/// A variable's value, which need not be text.
fn value(environment: &Environment, name: &str) -> Option<OsString> {
    let text = environment.filled_var(name).map(OsString::from);
    text.or_else(|| env::var_os(name).filter(|value| !value.is_empty()))
}

/// The problems of both variables, if an upstream uses `https` or a callback may do so.
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
        match value(environment, name) {
            Some(value) if name == FILE => problems.extend(of_file(Path::new(&value))),
            Some(value) => problems.extend(of_folders(&value, environment)),
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
fn of_folders(list: &OsStr, environment: &Environment) -> Vec<Problem> {
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
    if !trusted && problems.is_empty() && value(environment, FILE).is_none() {
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
