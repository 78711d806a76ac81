//! Reads the ELF structure without executing anything: is it for this machine, is it complete, is
//! it a plugin? Every offset is checked against the file, so no input can cause a panic.

mod facts;

use crate::loader::{Glibc, ROOT_SYMBOL, glibc_version, parse_glibc};
pub(super) use facts::facts;
use object::{
    Endianness,
    elf::{self, FileHeader64, Sym64},
    read::elf::{FileHeader, ProgramHeader, SectionHeader, SectionTable, Sym},
};
use plugin_api::{abi::C_ROOT_SYMBOL, manifest::SECTION};
use thiserror::Error;

type Header = FileHeader64<Endianness>;
type Symbol = Sym64<Endianness>;

/// Why a file cannot be a plugin.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ElfError {
    #[error("expected an ELF shared object, found {0}")]
    NotElf(&'static str),
    #[error("expected a {expected} shared object, found a {found} one")]
    Layout { expected: &'static str, found: &'static str },
    #[error("expected a shared object for {}, found one for {found}", std::env::consts::ARCH)]
    Machine { found: String },
    #[error("expected a shared object, found {0}")]
    NotShared(&'static str),
    #[error("expected at least {expected} bytes, found {found}: the file is truncated")]
    Truncated { expected: u64, found: u64 },
    #[error("expected a well-formed ELF file: {0}")]
    Malformed(String),
    #[error("expected a plugin for glibc {}.{}, found one that needs glibc {}.{}", .ours.0, .ours.1, .needed.0, .needed.1)]
    Glibc { ours: Glibc, needed: Glibc },
    #[error("expected a plugin for glibc, found one linked against `{0}`")]
    OtherLibc(String),
    #[error("expected a callgate plugin, found a shared object without the section `{SECTION}`")]
    NoManifest,
    #[error(
        "expected a callgate plugin, found a shared object that does not export `{ROOT_SYMBOL}`, nor `{C_ROOT_SYMBOL}`"
    )]
    NoRoot,
}

impl ElfError {
    pub(crate) fn remedy(&self) -> String {
        let target = std::env::consts::ARCH;
        match self {
            Self::NotElf(_) | Self::NotShared(_) => {
                "name the `.so` that `cargo build --release` builds from a crate of type `cdylib`"
                    .to_owned()
            }
            Self::Layout { .. } | Self::Machine { .. } | Self::OtherLibc(_) => {
                format!("build it for this machine: `--target {target}-unknown-linux-gnu`")
            }
            Self::Truncated { .. } | Self::Malformed(_) => {
                "copy it again: write it beside the old file, then rename it into place".to_owned()
            }
            Self::Glibc { ours: (major, minor), .. } => {
                format!("build it on a system with glibc {major}.{minor} or older")
            }
            Self::NoManifest | Self::NoRoot => {
                "export its callbacks with `export_callbacks!` of the crate `callgate-plugin-api`, or with `CALLGATE_PLUGIN` of `callgate_plugin.h`"
                    .to_owned()
            }
        }
    }
}

/// The symbol by which the loader finds a plugin's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// The symbol of the crate `callgate-plugin-api`.
    Rust,
    /// The symbol of `callgate_plugin.h`.
    C,
}

impl From<object::Error> for ElfError {
    fn from(error: object::Error) -> Self {
        Self::Malformed(error.to_string().to_lowercase())
    }
}

/// The manifest's bytes, and the root, of a file that is a complete shared object for this machine.
pub(super) fn manifest_section(bytes: &[u8]) -> Result<(&[u8], Root), ElfError> {
    identify(bytes)?;
    let (header, endian) = whole_header(bytes)?;
    if header.program_headers(endian, bytes)?.iter().any(|it| it.p_type(endian) == elf::PT_INTERP) {
        return Err(ElfError::NotShared("an executable"));
    }
    let sections = header.sections(endian, bytes)?;
    check_libc(&sections, endian, bytes)?;
    let manifest = sections.section_by_name(endian, SECTION.as_bytes());
    let (_, manifest) = manifest.ok_or(ElfError::NoManifest)?;
    let root = find_root(&sections, endian, bytes)?;
    Ok((manifest.data(endian, bytes)?, root))
}

/// The header of a file that contains everything its headers refer to.
fn whole_header(bytes: &[u8]) -> Result<(&Header, Endianness), ElfError> {
    if bytes.len() < size_of::<Header>() {
        let (expected, found) = (size_of::<Header>() as u64, bytes.len() as u64);
        return Err(ElfError::Truncated { expected, found });
    }
    let header = Header::parse(bytes)?;
    let endian = header.endian()?;
    check_extent(header, endian, bytes)?;
    Ok((header, endian))
}

/// Identifies the file by its first bytes, before anything is parsed: this gives the clearest
/// errors.
fn identify(bytes: &[u8]) -> Result<(), ElfError> {
    let (Some(ident), Some(&[kind, kind_high]), Some(&[machine, machine_high])) =
        (bytes.first_chunk::<16>(), bytes.get(16..18), bytes.get(18..20))
    else {
        return Err(ElfError::NotElf(foreign(bytes)));
    };
    if !ident.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf(foreign(bytes)));
    }
    if ident[4] != 2 {
        return Err(ElfError::Layout { expected: "64-bit", found: "32-bit" });
    }
    let (ours, found) = (cfg!(target_endian = "little"), ident[5] == 1);
    if ours != found {
        let name = |little: bool| if little { "little-endian" } else { "big-endian" };
        return Err(ElfError::Layout { expected: name(ours), found: name(found) });
    }
    let machine = u16::from_ne_bytes([machine, machine_high]);
    if machine_name(machine) != Some(std::env::consts::ARCH) {
        let found = machine_name(machine).map(str::to_owned);
        let found = found.unwrap_or_else(|| format!("machine {machine}"));
        return Err(ElfError::Machine { found });
    }
    match u16::from_ne_bytes([kind, kind_high]) {
        3 => Ok(()),
        1 => Err(ElfError::NotShared("an object file")),
        2 => Err(ElfError::NotShared("an executable")),
        4 => Err(ElfError::NotShared("a core dump")),
        _ => Err(ElfError::NotShared("an unknown kind of file")),
    }
}

/// The kind of a file that is not ELF, guessed from its first bytes.
fn foreign(bytes: &[u8]) -> &'static str {
    let kinds: [(&[u8], _); 8] = [
        (&elf::ELFMAG, "the first bytes of one"),
        (b"!<arch>", "a static library"),
        (b"MZ", "a Windows file"),
        (&[0xcf, 0xfa, 0xed, 0xfe], "a macOS file"),
        (&[0xca, 0xfe, 0xba, 0xbe], "a macOS file"),
        (b"\0asm", "a WebAssembly module"),
        (b"#!", "a script"),
        (&[0x1f, 0x8b], "a gzip archive"),
    ];
    if bytes.is_empty() {
        return "an empty file";
    }
    let known = kinds.iter().find(|(magic, _)| bytes.starts_with(magic));
    let start = &bytes[..bytes.len().min(512)];
    let readable = start.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    known.map_or(if readable { "a text file" } else { "another kind of file" }, |(_, name)| name)
}

/// A name as in `std::env::consts::ARCH`.
fn machine_name(machine: u16) -> Option<&'static str> {
    Some(match machine {
        3 => "x86",
        20 | 21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => return None,
    })
}

/// Checks that everything the headers refer to lies within the file: the dynamic linker maps it
/// unchecked, and touching a page beyond the end kills the process.
fn check_extent(header: &Header, endian: Endianness, bytes: &[u8]) -> Result<(), ElfError> {
    let found = bytes.len() as u64;
    let table = |start: u64, size: u16, count: u16| {
        start.saturating_add(u64::from(size) * u64::from(count))
    };
    let (phoff, shoff) = (header.e_phoff(endian), header.e_shoff(endian));
    let mut expected = table(phoff, header.e_phentsize(endian), header.e_phnum(endian));
    if expected <= found {
        for segment in header.program_headers(endian, bytes)? {
            let end = segment.p_offset(endian).saturating_add(segment.p_filesz(endian));
            expected = expected.max(end);
        }
        expected = expected.max(table(shoff, header.e_shentsize(endian), header.e_shnum(endian)));
    }
    if expected > found {
        return Err(ElfError::Truncated { expected, found });
    }
    Ok(())
}

/// Compares the C library that the plugin needs with the one in this process.
fn check_libc(
    sections: &SectionTable<'_, Header>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<(), ElfError> {
    let libraries = needed_libraries(sections, endian, bytes)?;
    if let Some(musl) = libraries.into_iter().find(|library| library.starts_with("libc.musl")) {
        return Err(ElfError::OtherLibc(musl));
    }
    match (glibc_version(), needed_glibc(sections, endian, bytes)?) {
        (Some(ours), Some(needed)) if needed > ours => Err(ElfError::Glibc { ours, needed }),
        _ => Ok(()),
    }
}

/// The shared objects that the dynamic linker has to find.
fn needed_libraries(
    sections: &SectionTable<'_, Header>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Vec<String>, ElfError> {
    let dynamic = sections.dynamic_table(endian, bytes)?;
    let mut libraries = Vec::new();
    for entry in &dynamic {
        if entry.tag == elf::DT_NEEDED {
            libraries.push(String::from_utf8_lossy(dynamic.string(entry)?).into_owned());
        }
    }
    Ok(libraries)
}

/// The newest version of glibc that any of its symbols needs.
fn needed_glibc(
    sections: &SectionTable<'_, Header>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Option<Glibc>, ElfError> {
    let Some((mut needs, strings)) = sections.gnu_verneed(endian, bytes)? else { return Ok(None) };
    let strings = sections.strings(endian, bytes, strings)?;
    let mut needed = None;
    while let Some((_, mut versions)) = needs.next()? {
        while let Some(version) = versions.next()? {
            let name = String::from_utf8_lossy(version.name(endian, strings)?);
            needed = needed.max(name.strip_prefix("GLIBC_").and_then(parse_glibc));
        }
    }
    Ok(needed)
}

/// Finds the symbol that the loader will use: a defined table that is large enough to be read, or a
/// function. If a plugin exports both, the one that allows more checks is used.
fn find_root(
    sections: &SectionTable<'_, Header>,
    endian: Endianness,
    bytes: &[u8],
) -> Result<Root, ElfError> {
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
    let has = |name: &str, fits: fn(&Symbol, Endianness) -> bool| {
        symbols.iter().any(|symbol| {
            let named = symbol.name(endian, symbols.strings()) == Ok(name.as_bytes());
            named && !symbol.is_undefined(endian) && fits(symbol, endian)
        })
    };
    if has(ROOT_SYMBOL, |symbol, endian| symbol.st_size(endian) >= 40) {
        Ok(Root::Rust)
    } else if has(C_ROOT_SYMBOL, |symbol, _| symbol.st_type() == elf::STT_FUNC) {
        Ok(Root::C)
    } else {
        Err(ElfError::NoRoot)
    }
}
