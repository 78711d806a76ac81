//! Finds the build under test. A missing binary or plugin fails the test that needs it: a suite
//! that skips what was not built would pass without testing anything.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The folder with the binary and the plugins: `CALLGATE_TEST_BUILD`, else the profile folder this
/// test was built into.
#[must_use]
pub fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("CALLGATE_TEST_BUILD") {
        return PathBuf::from(folder);
    }
    let test = std::env::current_exe().expect("a running test knows its own path");
    let folder = test.ancestors().nth(2).expect("tests run from `target/<profile>/deps`");
    folder.to_owned()
}

/// The gateway's binary.
#[must_use]
pub fn binary() -> PathBuf {
    existing(folder().join("callgate"))
}

/// The shared object of the plugin `name`.
#[must_use]
pub fn plugin(name: &str) -> PathBuf {
    existing(folder().join(format!("lib{name}.so")))
}

/// The repository's root.
#[must_use]
pub fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("this package is a folder of the repository").to_owned()
}

/// A file in the repository for the tests.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    existing(repository().join("tests/fixtures").join(name))
}

/// The shared object of a C plugin of the fixtures, compiled with these definitions into `file`.
pub fn c_plugin(source: &str, definitions: &[(&str, &str)], file: &Path) {
    let mut command = Command::new("cc");
    command.args([
        "-std=gnu11",
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
    ]);
    command.arg("-I").arg(repository().join("plugin-api/include"));
    command.args(definitions.iter().map(|(name, text)| format!("-D{name}={text:?}")));
    let output = command.arg("-o").arg(file).arg(fixture(source)).output();
    let output = output.expect("a C compiler runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn existing(path: PathBuf) -> PathBuf {
    assert!(path.is_file(), "`{}` is missing; `make test` builds it first", path.display());
    path
}
