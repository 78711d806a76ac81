//! The ABI as text: each type with its fields, offsets and types, the numbers of the kinds, the
//! symbols, and the keys of the manifest. `tests/abi/layout-<version>.txt` has the text of each
//! frozen version; the tests here compare the current layout with all of them. Only tests use this
//! module. `compare` says what a difference means. The root for plugins in C is not part of it,
//! because it is not stable yet; a test in `c` compares it with its header.

mod compare;

use super::{ApiVersion, C_ROOT_SYMBOL, PluginRootRef};
use crate::manifest::SECTION;
use abi_stable::{
    StableAbi,
    library::ROOT_MODULE_LOADER_NAME,
    type_layout::{TLData, TLField, TLFields, TLFunction, TypeLayout},
};
use compare::{Change, changes};
use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

/// The folder of the frozen layouts.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/abi");

/// The first line of a layout that is not released yet: it may change, and so may plugins that were
/// built against it. Whoever freezes it removes the line.
const DRAFT: &str = "draft: not released, may still change\n";

/// The size of the fields that abi_stable puts before a table's functions: the bits that say which
/// are present, and a reserved pointer.
const BEFORE_A_TABLE: usize = 16;

/// The sources that define numbers of kinds, as `pub const NAME: Self = Self(NUMBER);` in an `impl`
/// or `Name = NUMBER,` in an enum.
const KINDS: [&str; 4] = [
    include_str!("../abi.rs"),
    include_str!("../kind.rs"),
    include_str!("../host/error.rs"),
    include_str!("../host/metrics.rs"),
];

/// Returns the current layout as text.
fn present() -> String {
    let mut text = format!(
        "symbol rust: {ROOT_MODULE_LOADER_NAME}\nsymbol c: {C_ROOT_SYMBOL}\nsection: {SECTION}\n"
    );
    for key in manifest_keys(include_str!("../export.rs")) {
        let _ = writeln!(text, "manifest key: {key}");
    }
    let mut types = BTreeMap::new();
    collect(PluginRootRef::LAYOUT, &mut types);
    for described in types.into_values().filter(|described| !described.is_empty()) {
        let _ = write!(text, "\n{described}");
    }
    for kind in KINDS.iter().flat_map(|source| kinds(source)) {
        let _ = write!(text, "\n{kind}");
    }
    text
}

/// Returns the manifest keys that the export macro writes, in order.
fn manifest_keys(export: &str) -> impl Iterator<Item = &str> {
    // The macro's source has a key as `\"key\":`.
    export.split("\\\"").skip(1).zip(export.split("\\\"").skip(2)).filter_map(|(key, next)| {
        (next.starts_with(':') && key.chars().all(|it| it.is_lowercase() || it == '_'))
            .then_some(key)
    })
}

/// Returns the named numbers in a source file, one text for each type.
fn kinds(source: &str) -> Vec<String> {
    let mut found: Vec<(&str, Vec<String>)> = Vec::new();
    for line in source.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["impl", name, "{"] | ["pub", "enum", name, "{"] => found.push((name, Vec::new())),
            ["pub", "const", name, "Self", "=", number] => {
                let number = number.trim_start_matches("Self(").trim_end_matches(");");
                note(&mut found, name.trim_end_matches(':'), number);
            }
            [name, "=", number] => note(&mut found, name, number.trim_end_matches(',')),
            _ => {}
        }
    }
    let full = found.into_iter().filter(|(_, numbers)| !numbers.is_empty());
    full.map(|(name, numbers)| format!("kind {name}:\n{}", numbers.concat())).collect()
}

fn note(found: &mut [(&str, Vec<String>)], name: &str, number: &str) {
    if let (Some((_, numbers)), Ok(number)) = (found.last_mut(), number.parse::<u32>()) {
        numbers.push(format!("  {number} {name}\n"));
    }
}

/// Describes a type and all types that it refers to.
fn collect(layout: &'static TypeLayout, types: &mut BTreeMap<String, String>) {
    let name = written(layout);
    if types.contains_key(&name) {
        return;
    }
    types.insert(name.clone(), String::new());
    let (package, version) = layout.package_and_version();
    let is_builtin = matches!(package.as_str(), "std" | "core" | "alloc");
    let (size, align) = (layout.size(), layout.alignment());
    let (head, mut offset) = match layout.data() {
        _ if package.as_str() != env!("CARGO_PKG_NAME") => {
            // Another version of a foreign crate changes the ABI.
            let version = version.to_string();
            let digits: Vec<_> = version.split('.').collect();
            let line = match digits[..] {
                ["0", minor, ..] => format!("0.{minor}"),
                [major, ..] => major.to_owned(),
                [] => version,
            };
            (format!("of {package} {line}, {size} bytes, align {align}"), None)
        }
        TLData::PrefixType(table) => (
            format!("table, align {align}, {} fixed", table.first_suffix_field),
            Some(BEFORE_A_TABLE),
        ),
        _ => (format!("struct, {size} bytes, align {align}"), Some(0)),
    };
    let mut described = format!("type {name}: {head}\n");
    let fields = layout.get_fields();
    for field in fields.iter().flat_map(TLFields::iter) {
        let it = field.layout();
        if let Some(end) = &mut offset {
            let start = end.next_multiple_of(it.alignment());
            let _ = writeln!(described, "  {start} {}: {}", field.name(), field_type(&field));
            *end = start + it.size();
        }
        for function in field.function_range().iter() {
            for part in parts(&function) {
                collect(part, types);
            }
        }
        collect(it, types);
    }
    for generic in layout.phantom_fields().iter() {
        collect(generic.layout(), types);
    }
    if !is_builtin {
        types.insert(name, described);
    }
}

/// Returns a type as source text, without lifetimes. abi_stable's description does not list type
/// parameters, so they are taken from the fields.
fn written(layout: &TypeLayout) -> String {
    let text = layout.full_type().to_string().replace("'a, ", "").replace("'a ", "");
    let text = text.replace("<'a>", "").replace(" >", ">").replace("&  ", "&");
    let text = text.trim_end();
    let fields = layout.get_fields().into_iter().flat_map(|fields| fields.iter());
    let over: Vec<String> = match (layout.name(), layout.data()) {
        ("RVec", _) => fields.take(1).map(|field| written(field.layout())).collect(),
        ("BorrowingFfiFuture" | "LocalBorrowingFfiFuture", _) => fields
            .flat_map(|field| {
                let functions = field.function_range().iter();
                let returned = functions.filter_map(|it| it.return_type_layout().map(|it| it()));
                returned.chain((!field.is_function()).then(|| field.layout())).collect::<Vec<_>>()
            })
            .filter(|it| it.name().ends_with("FfiFuture") || it.name() == "FfiPoll")
            .map(written)
            .collect(),
        (_, TLData::Enum(_)) => fields.map(|field| written(field.layout())).collect(),
        _ => Vec::new(),
    };
    let over = over.join(", ");
    match text {
        _ if over.is_empty() => text.to_owned(),
        // Type parameters that stand for reserved space, nested futures and function pointers.
        "RVec" => over.replacen("NonNull", text, 1),
        "LocalBorrowingFfiFuture" => over.replacen("FfiPoll", text, 1),
        "BorrowingFfiFuture" => over.replacen("LocalBorrowingFfiFuture", "FfiFuture", 1),
        "Option<AFunctionPointer>" => "Option".to_owned(),
        _ => format!("{text}<{over}>"),
    }
}

/// The layouts of a function's parameters, then of its return value.
fn parts(function: &TLFunction) -> Vec<&'static TypeLayout> {
    let params = function.param_type_layouts.iter();
    params.chain(function.return_type_layout()).map(|layout| layout()).collect()
}

/// Returns a field's type as source text.
fn field_type(field: &TLField) -> String {
    let functions: Vec<_> = field.function_range().iter().map(|it| signature(&it)).collect();
    if functions.is_empty() {
        return written(field.layout());
    }
    let functions = functions.join(", ");
    if field.is_function() {
        return functions;
    }
    format!("{}<{functions}>", written(field.layout()))
}

fn signature(function: &TLFunction) -> String {
    let params: Vec<_> =
        function.param_type_layouts.iter().map(|layout| written(layout())).collect();
    let returns = function.return_type_layout().map(|layout| format!(" -> {}", written(layout())));
    let safety = if function.fn_qualifs.is_unsafe() { "unsafe " } else { "" };
    format!("{safety}fn({}){}", params.join(", "), returns.unwrap_or_default())
}

/// Returns the frozen layouts of this major version, oldest first.
fn frozen() -> Vec<(ApiVersion, PathBuf)> {
    let files = fs::read_dir(FOLDER).expect("the frozen layouts").filter_map(Result::ok);
    let mut found: Vec<_> = files
        .filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            let (major, minor) =
                name.strip_prefix("layout-")?.strip_suffix(".txt")?.split_once('.')?;
            let version = ApiVersion { major: major.parse().ok()?, minor: minor.parse().ok()? };
            (version.major == ApiVersion::CURRENT.major).then(|| (version, file.path()))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn what_crosses_is_what_was_frozen() {
    let (now, present) = (ApiVersion::CURRENT, present());
    let path = PathBuf::from(format!("{FOLDER}/layout-{now}.txt"));
    let is_draft = fs::read_to_string(&path).is_ok_and(|before| before.starts_with(DRAFT));
    if std::env::var_os("CALLGATE_FREEZE_LAYOUT").is_some() && (is_draft || !path.exists()) {
        fs::write(&path, [DRAFT, &present].concat()).expect("the folder is writable");
    }
    for (version, file) in frozen() {
        let before = fs::read_to_string(file).expect("a frozen layout");
        if let Some(before) = before.strip_prefix(DRAFT) {
            assert!(
                before == present,
                "{}; write it anew with `CALLGATE_FREEZE_LAYOUT=1`",
                first_difference(before, &present)
            );
            continue;
        }
        let (mut breaks, mut grows) = (Vec::new(), Vec::new());
        for change in changes(&before, &present) {
            match change {
                Change::Breaks(sentence) => breaks.push(sentence),
                Change::Grows(sentence) => grows.push(sentence),
            }
        }
        assert!(
            breaks.is_empty(),
            "this breaks the ABI since {version}:
- {}
allowed is only to append to a table after its \
             last entry, which makes a new minor (plugin-api/ABI.md)",
            breaks.join("\n- ")
        );
        assert!(
            version != now || grows.is_empty(),
            "this makes a new minor of the ABI:\n- {}\nit is allowed: raise the minor in the package's \
             version, `ApiVersion::CURRENT` and `export.rs`, run this test with \
             `CALLGATE_FREEZE_LAYOUT=1`, and freeze plugins of it (tests/abi/README.md)",
            grows.join("\n- ")
        );
        assert!(version != now || before == present, "{}", first_difference(&before, &present));
    }
    assert!(
        path.exists(),
        "expected `{}`: freeze it with `CALLGATE_FREEZE_LAYOUT=1`",
        path.display()
    );
}

fn first_difference(before: &str, present: &str) -> String {
    let pair = before.lines().zip(present.lines()).find(|(old, new)| old != new);
    format!("the frozen layout differs from the current one: {pair:?}")
}

#[test]
fn every_table_may_grow_behind_what_all_have() {
    let text = present();
    let tables: Vec<_> = text.split("\n\n").filter(|it| it.contains(": table, ")).collect();
    assert!(tables.len() >= 15, "{tables:#?}");
    for table in tables {
        // abi_stable has 64 bits for entries. Further entries need another table.
        assert!(table.lines().count() - 1 < 60, "{table}");
    }
}
