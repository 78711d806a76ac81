//! Inspects a plugin's file from bytes, for fuzz targets.

use super::{ExportError, InspectError, Root, elf, export};
use plugin_api::manifest::Manifest;

/// The callbacks in a file, or the reasons why it cannot be loaded.
///
/// # Errors
/// If the file is refused.
///
/// # Panics
/// If the loader's verdict differs from the report for people.
pub fn inspect(bytes: &[u8]) -> Result<Vec<String>, Vec<String>> {
    let judged = judge(bytes);
    let facts = elf::facts(bytes);
    assert_eq!(facts.errors.is_empty(), elf::manifest_section(bytes).is_ok(), "{facts:?}");
    judged.map_err(|error| {
        let errors = facts.errors.into_iter().map(InspectError::from);
        errors.chain([error]).map(|it| format!("{it}; {}", it.remedy())).collect()
    })
}

fn judge(bytes: &[u8]) -> Result<Vec<String>, InspectError> {
    let (section, root) = elf::manifest_section(bytes)?;
    let Manifest { header, callbacks } = Manifest::parse(section).map_err(ExportError::Manifest)?;
    export::check_api(&header)?;
    if root == Root::C {
        export::check_c(&callbacks)?;
    }
    let names = callbacks.into_iter().map(|callback| {
        export::check_kind(&callback)?;
        Ok(callback.name)
    });
    names.collect()
}
