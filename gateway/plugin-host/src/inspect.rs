//! Inspects a plugin without running any of it: the file, its ELF structure, its manifest. A file
//! that passes may still be faulty, but the dynamic linker can map it safely (a truncated file
//! would crash the process there).
//!
//! Called by `loader`; `describe` reports everything at once, for people. `schema` checks settings,
//! `loader` executes code.

mod describe;
mod elf;
mod error;
mod export;
mod file;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod pin;
#[cfg(test)]
mod tests;

use super::{plugin_problem::about, resolve::SearchPath};
use callgate_config::{CallbackEntry, Problem};
pub use describe::{CallbackInfo, PluginInfo, Reason};
use elf::ElfError;
pub(super) use elf::Root;
pub(super) use error::InspectError;
use export::ExportError;
pub(super) use file::{FileError, permissions_of_way};
use pin::PinMismatch;
use plugin_api::manifest::{Exported, Header, Manifest};
use sha2::{Digest, Sha256};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// A plugin file that passed, and the callback that the entry names.
#[derive(Debug)]
pub(super) struct Inspected {
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: [u8; 32],
    /// The manifest's bytes in the file, to compare with those of the loaded plugin.
    pub(super) section: Vec<u8>,
    pub(super) header: Header,
    pub(super) callback: Exported,
    pub(super) root: Root,
}

impl Inspected {
    pub(super) fn sha256_hex(&self) -> String {
        hex(&self.sha256)
    }

    /// The same plugin in a child process, from the bytes that were inspected here.
    pub(super) fn of_copy(
        file: &Path,
        bytes: Vec<u8>,
        sha256: [u8; 32],
        callback: &str,
    ) -> Result<Self, InspectError> {
        let (section, root) = elf::manifest_section(&bytes)?;
        let section = section.to_vec();
        let manifest = Manifest::parse(&section).map_err(ExportError::Manifest)?;
        let Manifest { header, callbacks } = manifest;
        let callback = export::named(callbacks, callback)?;
        Ok(Self { file: file.to_owned(), bytes, sha256, section, header, callback, root })
    }

    /// The name of the file.
    pub(super) fn file_name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads and checks an entry's file; problems that allow a start are added to `warnings`.
pub(super) fn inspect(
    entry: &CallbackEntry,
    file: &Path,
    search: &SearchPath,
    warnings: &mut Vec<Problem>,
) -> Result<Inspected, InspectError> {
    let bytes = file::read(file)?;
    let sha256 = Sha256::digest(&bytes).into();
    pin::check(&sha256, entry, search.requires_pins())?;
    if search.is_strict()
        && let Some(unwise) = permissions_of_way(file).into_iter().next()
    {
        return Err(InspectError::Untrusted(unwise));
    }
    for unwise in file::permissions(file) {
        let text = about(entry, Some(file), &unwise.to_string());
        warnings.push(Problem::warning(entry.place.clone(), text).remedy(unwise.remedy()));
    }
    let (section, root) = elf::manifest_section(&bytes)?;
    let section = section.to_vec();
    let manifest = Manifest::parse(&section).map_err(ExportError::Manifest)?;
    export::check_api(&manifest.header)?;
    let Manifest { header, callbacks } = manifest;
    if root == Root::C {
        export::check_c(&callbacks)?;
    }
    let callback = export::choose(callbacks, entry)?;
    Ok(Inspected { file: file.to_owned(), bytes, sha256, section, header, callback, root })
}
