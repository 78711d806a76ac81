//! Inputs as files: `corpus/<target>/<name>`, the seeds and all earlier findings.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The inputs of a target with their names, in order.
///
/// # Errors
/// If it has no folder.
pub fn read(target: &str) -> io::Result<Vec<(String, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let missing = |error| io::Error::other(format!("{}: {error}", folder.display()));
    let mut inputs = Vec::new();
    for entry in fs::read_dir(&folder).map_err(missing)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        inputs.push((name, fs::read(entry.path())?));
    }
    inputs.sort();
    Ok(inputs)
}

/// Stores a finding under a name made from its bytes.
///
/// # Errors
/// If it cannot be written.
pub fn keep(target: &str, input: &[u8]) -> io::Result<PathBuf> {
    let folder = found_folder();
    fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{target}-{:016x}", hash(input)));
    fs::write(&path, input)?;
    Ok(path)
}

/// The folder for findings, beside the build products.
#[must_use]
pub fn found_folder() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target =
        target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    target.join("fuzz-findings")
}

/// The same for the same bytes, on every machine (FNV-1a).
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
