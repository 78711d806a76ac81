//! Reads the same structure for people: all facts about a file and every reason against it, where
//! the loader stops at the first one.

use super::{
    ElfError, Glibc, Root, check_libc, find_root, identify, machine_name, manifest_section,
    needed_glibc, needed_libraries, whole_header,
};
use object::{
    elf,
    read::elf::{FileHeader, ProgramHeader},
};
use plugin_api::manifest::SECTION;

/// The facts in an ELF file, as far as it can be read.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// `64-bit shared object`, or another kind.
    pub(crate) kind: Option<String>,
    pub(crate) machine: Option<String>,
    pub(crate) glibc: Option<Glibc>,
    pub(crate) needs: Vec<String>,
    pub(crate) manifest: Option<Vec<u8>>,
    pub(crate) root: Option<Root>,
    pub(crate) errors: Vec<ElfError>,
}

/// Reads all it can; no input causes a panic or executes anything.
pub(crate) fn facts(bytes: &[u8]) -> Facts {
    let mut facts = Facts::default();
    (facts.kind, facts.machine) = named(bytes);
    if let Err(error) = identify(bytes).and_then(|()| read(bytes, &mut facts)) {
        facts.errors.push(error);
    }
    // The loader's own checks decide, whatever was read above.
    if facts.errors.is_empty()
        && let Err(error) = manifest_section(bytes)
    {
        facts.errors.push(error);
    }
    facts
}

/// The kind and machine, from the first bytes.
fn named(bytes: &[u8]) -> (Option<String>, Option<String>) {
    let (true, Some(&[class, order]), Some(&[kind, kind_high, machine, machine_high])) =
        (bytes.starts_with(&elf::ELFMAG), bytes.get(4..6), bytes.get(16..20))
    else {
        return (None, None);
    };
    let number =
        |pair| if order == 2 { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) };
    let kind = match number([kind, kind_high]) {
        1 => "object file",
        2 => "executable",
        3 => "shared object",
        4 => "core dump",
        _ => "file of an unknown kind",
    };
    let bits = if class == 2 { "64-bit" } else { "32-bit" };
    let machine = number([machine, machine_high]);
    let machine = machine_name(machine).map_or_else(|| format!("machine {machine}"), str::to_owned);
    (Some(format!("{bits} {kind}")), Some(machine))
}

/// Reads everything after the header. An error means that nothing more can be read.
fn read(bytes: &[u8], facts: &mut Facts) -> Result<(), ElfError> {
    let (header, endian) = whole_header(bytes)?;
    if header.program_headers(endian, bytes)?.iter().any(|it| it.p_type(endian) == elf::PT_INTERP) {
        facts.errors.push(ElfError::NotShared("an executable"));
    }
    let sections = header.sections(endian, bytes)?;
    facts.needs = needed_libraries(&sections, endian, bytes)?;
    facts.glibc = needed_glibc(&sections, endian, bytes)?;
    facts.errors.extend(check_libc(&sections, endian, bytes).err());
    match sections.section_by_name(endian, SECTION.as_bytes()) {
        Some((_, section)) => {
            use object::read::elf::SectionHeader as _;
            facts.manifest = Some(section.data(endian, bytes)?.to_vec());
        }
        None => facts.errors.push(ElfError::NoManifest),
    }
    match find_root(&sections, endian, bytes) {
        Ok(root) => facts.root = Some(root),
        Err(error) => facts.errors.push(error),
    }
    Ok(())
}
