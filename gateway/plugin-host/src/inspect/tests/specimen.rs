//! The smallest file that passes the inspection, with one field for each property.

use crate::loader::ROOT_SYMBOL;
use object::{
    Endianness,
    elf::{FileHeader64, ProgramHeader64, SectionHeader64, Sym64},
};

pub(super) const MANIFEST: &str = concat!(
    r#"{"api":"1.0","min_api":"1.0","package":"callgate-routing","version":"0.1.0"}"#,
    r#"{"name":"routing","kind":"sync","hooks":"on_llm_start","reads":"","writes":"","#,
    r#""settings_schema":{"type":"object"}}"#
);

pub(super) struct Specimen {
    pub(super) section: String,
    pub(super) root: String,
    pub(super) root_size: u64,
    /// Binding and type.
    pub(super) root_kind: u8,
    /// 0 means undefined.
    pub(super) root_section: u16,
    pub(super) segment_size: u64,
    pub(super) interpreter: bool,
    /// A version of `libc.so.6`.
    pub(super) needs: Option<String>,
}

impl Default for Specimen {
    fn default() -> Self {
        Self {
            section: plugin_api::manifest::SECTION.to_owned(),
            root: ROOT_SYMBOL.to_owned(),
            root_size: 264,
            root_kind: 0x11,
            root_section: 1,
            segment_size: 64,
            interpreter: false,
            needs: None,
        }
    }
}

const HEADER: usize = size_of::<FileHeader64<Endianness>>();
const SEGMENT: usize = size_of::<ProgramHeader64<Endianness>>();
const SECTION: usize = size_of::<SectionHeader64<Endianness>>();
const SYMBOL: usize = size_of::<Sym64<Endianness>>();

/// Names, each at its offset.
#[derive(Default)]
struct Strings(Vec<u8>);

impl Strings {
    fn add(&mut self, text: &str) -> u32 {
        if self.0.is_empty() {
            self.0.push(0);
        }
        let at = u32::try_from(self.0.len()).expect("few names");
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        at
    }
}

struct Section {
    name: u32,
    kind: u32,
    link: u32,
    content: Vec<u8>,
    entry: u64,
}

impl Specimen {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let sections = self.sections();
        let mut body = Vec::new();
        let mut headers = vec![0; SECTION];
        let start = HEADER + SEGMENT;
        for section in &sections {
            let offset = (start + body.len()) as u64;
            words32(&mut headers, &[section.name, section.kind]);
            words64(&mut headers, &[0, 0, offset, section.content.len() as u64]);
            words32(&mut headers, &[section.link, 1]);
            words64(&mut headers, &[1, section.entry]);
            body.extend_from_slice(&section.content);
            body.resize(body.len().next_multiple_of(8), 0);
        }
        let mut file = Self::header((start + body.len()) as u64, sections.len() + 1);
        words32(&mut file, &[if self.interpreter { 3 } else { 1 }, 4]);
        words64(&mut file, &[0, 0, 0, self.segment_size, self.segment_size, 4096]);
        file.extend(body);
        file.extend(headers);
        file
    }

    fn header(section_table: u64, sections: usize) -> Vec<u8> {
        let endian = if cfg!(target_endian = "little") { 1 } else { 2 };
        let machine: u16 = match std::env::consts::ARCH {
            "x86_64" => 62,
            "aarch64" => 183,
            "riscv64" => 243,
            other => panic!("no specimen for {other}"),
        };
        let mut file = vec![0x7f, b'E', b'L', b'F', 2, endian, 1];
        file.resize(16, 0);
        words16(&mut file, &[3, machine]);
        words32(&mut file, &[1]);
        words64(&mut file, &[0, HEADER as u64, section_table]);
        words32(&mut file, &[0]);
        let count = u16::try_from(sections).expect("few sections");
        let [header, segment, section] =
            [HEADER, SEGMENT, SECTION].map(|size| u16::try_from(size).expect("small"));
        words16(&mut file, &[header, segment, 1, section, count, 2]);
        file
    }

    /// From index 1: manifest, section names, symbols, their names, and the needed versions.
    fn sections(&self) -> Vec<Section> {
        let (mut names, mut strings) = (Strings::default(), Strings::default());
        let mut symbols = vec![0; SYMBOL];
        words32(&mut symbols, &[strings.add(&self.root)]);
        symbols.extend([self.root_kind, 0]);
        words16(&mut symbols, &[self.root_section]);
        words64(&mut symbols, &[0, self.root_size]);
        let needs = self.needs.as_ref().map(|version| needed(&mut strings, version));
        let mut section = |name: &str, kind, link, content, entry| Section {
            name: names.add(name),
            kind,
            link,
            content,
            entry,
        };
        let mut sections = vec![
            section(&self.section, 1, 0, MANIFEST.as_bytes().to_vec(), 0),
            section(".shstrtab", 3, 0, Vec::new(), 0),
            section(".dynsym", 11, 4, symbols, SYMBOL as u64),
            section(".dynstr", 3, 0, strings.0, 0),
        ];
        if let Some(needs) = needs {
            sections.push(section(".gnu.version_r", 0x6fff_fffe, 4, needs, 0));
        }
        sections[1].content = names.0;
        sections
    }
}

/// One `Verneed` with one `Vernaux`.
fn needed(strings: &mut Strings, version: &str) -> Vec<u8> {
    let mut needs = Vec::new();
    words16(&mut needs, &[1, 1]);
    words32(&mut needs, &[strings.add("libc.so.6"), 16, 0]);
    words32(&mut needs, &[0]);
    words16(&mut needs, &[0, 2]);
    words32(&mut needs, &[strings.add(version), 0]);
    needs
}

fn words16(into: &mut Vec<u8>, words: &[u16]) {
    words.iter().for_each(|word| into.extend(word.to_ne_bytes()));
}

fn words32(into: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| into.extend(word.to_ne_bytes()));
}

fn words64(into: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| into.extend(word.to_ne_bytes()));
}
