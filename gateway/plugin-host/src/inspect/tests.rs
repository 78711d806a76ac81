//! Inspects handmade files: [`specimen`] builds the smallest shared object that passes.

mod specimen;

use super::{
    Digest, InspectError, Sha256,
    elf::{ElfError, Root, manifest_section},
    export::{ExportError, check_api, choose},
    inspect,
};
use crate::resolve::{SearchPath, tests::entry};
use callgate_config::CallbackEntry;
use plugin_api::{
    abi::C_ROOT_SYMBOL,
    manifest::{Exported, Header},
};
use serde_json::json;
use specimen::{MANIFEST, Specimen};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};

fn elf_error(bytes: &[u8]) -> ElfError {
    manifest_section(bytes).expect_err("refused")
}

#[test]
fn a_whole_plugin_passes() {
    let bytes = Specimen::default().bytes();
    assert_eq!(manifest_section(&bytes), Ok((MANIFEST.as_bytes(), Root::Rust)));
    let root = C_ROOT_SYMBOL.to_owned();
    let bytes = Specimen { root, root_kind: 0x12, root_size: 0, ..Specimen::default() }.bytes();
    assert_eq!(manifest_section(&bytes), Ok((MANIFEST.as_bytes(), Root::C)));
}

#[test]
fn every_truncation_is_reported_as_one() {
    let bytes = Specimen::default().bytes();
    for length in 20..bytes.len() {
        assert!(matches!(elf_error(&bytes[..length]), ElfError::Truncated { .. }), "{length}");
    }
    for length in 0..20 {
        assert!(matches!(elf_error(&bytes[..length]), ElfError::NotElf(_)), "{length}");
    }
}

#[test]
fn foreign_files_are_reported_by_kind() {
    for (start, kind) in [
        (&b""[..], "an empty file"),
        (b"plugin: none\n", "a text file"),
        (b"#!/bin/sh\n", "a script"),
        (b"!<arch>\n", "a static library"),
        (b"MZ\x90\0", "a Windows file"),
        (b"\0asm\x01\0\0\0", "a WebAssembly module"),
        (b"\x7fELF\x02", "the first bytes of one"),
        (b"\xff\xfe\x00\x01", "another kind of file"),
    ] {
        assert_eq!(elf_error(start), ElfError::NotElf(kind));
        let mut long = start.to_vec();
        long.resize(4096, b'\n');
        if !start.is_empty() && !start.starts_with(b"\x7fELF") {
            assert_eq!(elf_error(&long), ElfError::NotElf(kind));
        }
    }
}

#[test]
fn other_machines_and_kinds_are_reported_with_both_sides() {
    let patched = |offset: usize, value: u8| {
        let mut bytes = Specimen::default().bytes();
        bytes[offset] = value;
        elf_error(&bytes).to_string()
    };
    assert_eq!(patched(4, 1), "expected a 64-bit shared object, found a 32-bit one");
    assert!(patched(5, if cfg!(target_endian = "little") { 2 } else { 1 }).contains("-endian one"));
    if cfg!(target_endian = "little") {
        assert!(patched(18, 8).ends_with("found one for machine 8"));
        assert_eq!(patched(16, 2), "expected a shared object, found an executable");
        assert_eq!(patched(16, 1), "expected a shared object, found an object file");
    }
    let executable = Specimen { interpreter: true, ..Specimen::default() };
    assert_eq!(elf_error(&executable.bytes()), ElfError::NotShared("an executable"));
}

#[test]
fn a_library_that_is_not_a_plugin_is_refused_with_the_missing_part() {
    let without = |specimen: Specimen| elf_error(&specimen.bytes());
    let section = ".another".to_owned();
    assert_eq!(without(Specimen { section, ..Specimen::default() }), ElfError::NoManifest);
    let root = "another_symbol".to_owned();
    assert_eq!(without(Specimen { root, ..Specimen::default() }), ElfError::NoRoot);
    assert_eq!(without(Specimen { root_size: 8, ..Specimen::default() }), ElfError::NoRoot);
    assert_eq!(without(Specimen { root_section: 0, ..Specimen::default() }), ElfError::NoRoot);
    // Data where a function is expected.
    let root = C_ROOT_SYMBOL.to_owned();
    assert_eq!(without(Specimen { root, ..Specimen::default() }), ElfError::NoRoot);
}

#[test]
fn a_segment_beyond_the_end_is_a_truncation() {
    let bytes = Specimen { segment_size: 1 << 40, ..Specimen::default() }.bytes();
    assert!(
        matches!(elf_error(&bytes), ElfError::Truncated { expected, .. } if expected >= 1 << 40)
    );
    let bytes = Specimen { segment_size: u64::MAX, ..Specimen::default() }.bytes();
    assert!(matches!(elf_error(&bytes), ElfError::Truncated { .. }));
}

/// Only the error may differ: nothing may panic, whatever is in the file.
#[test]
fn no_damage_makes_the_inspection_panic() {
    let mut random = fastrand::Rng::with_seed(11);
    let whole = Specimen::default().bytes();
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(16..bytes.len());
            bytes[at] = if random.bool() { random.u8(..) } else { 0xff };
        }
        let _ = manifest_section(&bytes);
    }
}

/// The C library of this process: large, real, and not a plugin.
#[test]
fn a_real_library_is_judged_whole_and_in_parts() {
    let maps = fs::read_to_string("/proc/self/maps").expect("a list of mapped files");
    let mapped = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let Some(path) = mapped.into_iter().find(|path| path.contains("libc.so")) else { return };
    let bytes = fs::read(path).expect("readable");
    // glibc's own library can be run, so it names an interpreter like an executable.
    let whole = elf_error(&bytes);
    assert!(matches!(whole, ElfError::NotShared(_) | ElfError::NoManifest), "{whole}");
    for percent in 1..100 {
        let part = elf_error(&bytes[..bytes.len() * percent / 100]);
        assert!(matches!(part, ElfError::Truncated { .. }), "{percent}: {part}");
    }
}

#[test]
fn versions_of_glibc_are_compared_as_numbers() {
    for (text, version) in [
        ("2.36", Some((2, 36))),
        ("2.2.5", Some((2, 2))),
        ("PRIVATE", None),
        ("2", None),
        ("2.x", None),
    ] {
        assert_eq!(crate::loader::parse_glibc(text), version, "{text}");
    }
    #[cfg(target_env = "gnu")]
    assert!(crate::loader::glibc_version().is_some_and(|version| version > (2, 0)));
}

#[test]
fn a_plugin_for_a_newer_glibc_is_refused_before_the_linker_does() {
    if !cfg!(target_env = "gnu") {
        return;
    }
    let needing =
        |version: &str| Specimen { needs: Some(version.to_owned()), ..Specimen::default() };
    assert!(manifest_section(&needing("GLIBC_2.2.5").bytes()).is_ok());
    assert!(manifest_section(&needing("GLIBC_PRIVATE").bytes()).is_ok());
    let error = elf_error(&needing("GLIBC_2.999").bytes());
    assert!(matches!(error, ElfError::Glibc { needed: (2, 999), .. }), "{error}");
}

fn exported(name: &str, kind: &str) -> Exported {
    let text = format!(
        r#"{{"name":"{name}","kind":"{kind}","hooks":"","reads":"","writes":"","settings_schema":{{}}}}"#
    );
    serde_json::from_str(&text).expect("an export")
}

#[test]
fn the_entry_chooses_the_callback_by_name() {
    let both = || vec![exported("one", "sync"), exported("two", "async")];
    assert_eq!(choose(both(), &entry("two", json!({}))).map(|it| it.name), Ok("two".to_owned()));
    let error = choose(both(), &entry("tow", json!({}))).expect_err("there is none");
    assert_eq!(error.to_string(), "expected a callback called `tow`, found `one`, `two`");
    assert_eq!(error.remedy(), "list it as `{name: two, path: …}` with the path of this file");

    let mut by_path = entry("file_name", json!({}));
    by_path.file = Some("file_name.so".into());
    let one = vec![exported("one", "sync")];
    assert_eq!(choose(one.clone(), &by_path).map(|it| it.name), Ok("one".to_owned()));
    assert!(matches!(choose(both(), &by_path), Err(ExportError::NoSuchCallback { .. })));
    assert!(choose(one, &entry("file_name", json!({}))).is_err());
    let odd = vec![exported("one", "threaded")];
    assert_eq!(choose(odd, &by_path), Err(ExportError::Kind("threaded".to_owned())));
    for (kind, expected) in [("sync", Err(ExportError::WaitingHook)), ("async", Ok(()))] {
        let mut beside = exported("one", kind);
        beside.hooks.push("on_llm_during".to_owned());
        assert_eq!(choose(vec![beside], &by_path).map(drop), expected, "{kind}");
    }
    for (hook, inputs, found) in [
        ("on_auth", &["authorization", ":path", ":method", ":client_address", "x-a_b.1"][..], None),
        ("on_auth", &[], Some("only the hook")),
        ("on_llm_end", &["authorization"], Some("only the inputs")),
        ("on_auth", &["Authorization"], Some("the input `Authorization`")),
        ("on_auth", &[":scheme"], Some("the input `:scheme`")),
        ("on_auth", &["a", "b c"], Some("the input `b c`")),
        ("on_auth", &["a"; 32], None),
        ("on_auth", &["a"; 33], Some("33 inputs")),
    ] {
        let mut gate = exported("one", "sync");
        gate.hooks = vec![hook.to_owned()];
        gate.auth_headers = inputs.iter().map(|name| (*name).to_owned()).collect();
        let expected = found.map_or(Ok(()), |found| Err(ExportError::Auth(found.to_owned())));
        assert_eq!(choose(vec![gate], &by_path).map(drop), expected, "{inputs:?}");
    }
}

#[test]
fn the_contract_version_decides_with_a_sentence() {
    let header = |api: &str, min_api: &str| {
        let text =
            format!(r#"{{"api":"{api}","min_api":"{min_api}","package":"p","version":"1.2.3"}}"#);
        serde_json::from_str::<Header>(&text).expect("a header")
    };
    assert_eq!(check_api(&header("1.0", "1.0")), Ok(()));
    assert_eq!(check_api(&header("1.99", "1.0")), Ok(()), "newer, but content with ours");
    let told = |api, min_api| check_api(&header(api, min_api)).expect_err("refused").to_string();
    assert_eq!(told("2.0", "2.0"), "expected ABI 1.x, found a plugin built for ABI 2.0");
    assert_eq!(
        told("1.99", "1.99"),
        "expected a plugin that runs with ABI 1.1, found one that needs 1.99 or later"
    );
    let mut newer = header("1.99", "1.99");
    newer.min_gateway = Some("7.1.0".to_owned());
    let refused = check_api(&newer).expect_err("refused");
    assert!(refused.to_string().ends_with("needs 1.99 or later, which callgate 7.1.0 has"));
    let remedy = refused.remedy();
    assert!(remedy.starts_with("use callgate 7.1.0 or later instead of "), "{remedy}");
}

#[test]
fn a_file_others_can_change_is_warned_about_or_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("librouting.so");
    fs::write(&file, Specimen::default().bytes()).expect("a file");
    let judge = |mode: u32, search: &SearchPath| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("our own file");
        let mut warnings = Vec::new();
        let outcome = inspect(&entry("routing", json!({})), &file, search, &mut warnings);
        (outcome, warnings)
    };
    let strict = SearchPath::default().strict_permissions(true);
    assert!(judge(0o644, &strict).0.is_ok());
    let (outcome, warnings) = judge(0o666, &SearchPath::default());
    assert!(outcome.is_ok());
    assert!(warnings.len() == 1 && warnings[0].text.contains("found mode 666"), "{warnings:?}");
    let refused = judge(0o664, &strict).0.expect_err("refused");
    assert!(matches!(refused, InspectError::Untrusted(_)));
    assert!(refused.remedy().contains("chmod go-w") && refused.remedy().contains("verify_owner"));
}

#[test]
fn a_pin_names_one_file_by_all_its_digits_or_the_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("librouting.so");
    let bytes = Specimen::default().bytes();
    fs::write(&file, &bytes).expect("a file");
    let whole: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let judge = |pin: Option<&str>, search: &SearchPath| {
        let entry = CallbackEntry { sha256: pin.map(str::to_owned), ..entry("routing", json!({})) };
        inspect(&entry, &file, search, &mut Vec::new())
    };
    let lenient = SearchPath::default();
    let strict = SearchPath::default().require_pins(true);
    for pin in [&whole[..], &whole[..12]] {
        assert!(judge(Some(pin), &lenient).is_ok() && judge(Some(pin), &strict).is_ok());
    }
    assert!(judge(None, &lenient).is_ok());
    for (pin, search) in [(Some("000000000000"), &lenient), (None, &strict)] {
        let refused = judge(pin, search).expect_err("refused");
        assert!(matches!(refused, InspectError::Pin(_)));
        assert!(format!("{refused} {}", refused.remedy()).contains(&whole), "{refused}");
    }
    // The pin is checked before the file is parsed.
    fs::write(&file, "no plugin").expect("a file");
    assert!(matches!(judge(Some(&whole), &lenient), Err(InspectError::Pin(_))));
}

#[test]
fn paths_that_are_not_files_are_reported_by_kind() {
    let told = |path: &Path| {
        let judged = inspect(&entry("x", json!({})), path, &SearchPath::default(), &mut Vec::new());
        judged.expect_err("refused").to_string()
    };
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(told(folder.path()), "expected a regular file, found a folder");
    assert_eq!(told(Path::new("/dev/null")), "expected a regular file, found a device");
    assert!(told(&folder.path().join("none")).starts_with("expected a file that can be read: "));
}
