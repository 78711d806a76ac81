//! What crate to write, from the options.

use crate::cli::New;
use callgate_plugin_host::Hook;

/// The crate to write.
pub(super) struct Plan {
    /// The name of the folder and the package, as given.
    pub(super) package: String,
    /// The name of the callback and the library, with underscores.
    pub(super) name: String,
    /// The type's name, in CamelCase.
    pub(super) type_name: String,
    pub(super) waits: bool,
    has: [bool; Hook::COUNT],
}

impl Plan {
    pub(super) fn of(options: &New) -> Result<Self, String> {
        check_name(&options.name)?;
        let mut has = [false; Hook::COUNT];
        for wanted in &options.hooks {
            let known = Hook::ALL.iter().zip(&mut has).find(|(hook, _)| hook.name() == wanted);
            let Some((_, has)) = known else {
                let names = Hook::ALL.map(|hook| format!("`{}`", hook.name())).join(", ");
                return Err(format!("`--hooks`: expected some of {names}, found `{wanted}`"));
            };
            if *wanted == Hook::During.name() && !options.waits {
                return Err(format!(
                    "`--hooks`: expected hooks of a sync callback, found `{wanted}`, which waits: \
                     add `--async`"
                ));
            }
            *has = true;
        }
        let name = options.name.replace('-', "_");
        let type_name = name.split('_').map(capitalized).collect();
        Ok(Self { package: options.name.clone(), name, type_name, waits: options.waits, has })
    }

    pub(super) fn has(&self, hook: Hook) -> bool {
        self.hooks().any(|has| has == hook)
    }

    pub(super) fn hooks(&self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().zip(self.has).filter(|(_, has)| *has).map(|(hook, _)| hook)
    }

    pub(super) fn trait_name(&self) -> &'static str {
        if self.waits { "AsyncCallback" } else { "Callback" }
    }

    pub(super) fn asyncness(&self) -> &'static str {
        if self.waits { "async " } else { "" }
    }
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string())
        + letters.as_str()
}

/// Names with another meaning in Rust or cargo.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "callgate",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "plugin_api",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "serde_json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

pub(super) fn check_name(name: &str) -> Result<(), String> {
    let rule = "lower-case letters, digits, and single `-` or `_` between them, a letter first, at most 64";
    let fits = name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .chars()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || "-_".contains(it))
        && name.split(['-', '_']).all(|word| !word.is_empty());
    if !fits {
        return Err(format!("expected a name of {rule}; found `{}`", name.escape_debug()));
    }
    let name = name.replace('-', "_");
    if TAKEN.contains(&name.as_str()) {
        return Err(format!(
            "`{name}` already means something to Rust or cargo; choose another name"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn names_are_what_rust_and_configs_can_say() {
        for good in ["a", "short_prompts", "pii-mask", "a1", "x2-y"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "A",
            "1a",
            "_a",
            "a_",
            "a__b",
            "a-_b",
            "ä",
            "a.b",
            "a/b",
            "../a",
            "a b",
            "fn",
            "serde-json",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(check_name(&"a".repeat(65)).is_err());
    }

    #[test]
    fn types_are_in_camel_case() {
        let options = New {
            name: "pii-mask_2".to_owned(),
            waits: false,
            hooks: vec!["on_llm_end".to_owned()],
            path: PathBuf::new(),
            api_path: None,
            api_version: None,
        };
        let plan = Plan::of(&options).unwrap();
        assert_eq!((&*plan.type_name, &*plan.name), ("PiiMask2", "pii_mask_2"));
        let unknown = New { hooks: vec!["on_end".to_owned()], ..options };
        assert!(Plan::of(&unknown).is_err());
    }
}
