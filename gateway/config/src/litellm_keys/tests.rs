//! The table: complete, and in accord with the readers and with its page in the documents.

use super::{KeySection, Standing, standing::KeyGroup};
use crate::{Environment, UnknownKeys};
use std::{fmt::Write as _, path::Path, sync::Arc};

/// The names of LiteLLM's release, by section.
const NAMES: &str = include_str!("names-1.110.2.txt");

const SECTIONS: [(&str, KeySection); 7] = [
    ("top level", KeySection::TopLevel),
    ("model_list entries", KeySection::Entry),
    ("litellm_params", KeySection::LitellmParams),
    ("model_info", KeySection::ModelInfo),
    ("litellm_settings", KeySection::LitellmSettings),
    ("router_settings", KeySection::RouterSettings),
    ("general_settings", KeySection::GeneralSettings),
];

fn litellms_names() -> Vec<(KeySection, &'static str)> {
    let mut at = KeySection::Own;
    let mut names = Vec::new();
    for line in NAMES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            Some(title) => at = SECTIONS.iter().find(|(name, _)| *name == title).unwrap().1,
            None => names.push((at, line)),
        }
    }
    names
}

#[test]
fn every_key_of_litellms_is_in_the_table_once() {
    let names = litellms_names();
    assert!(names.len() > 1300, "{}", names.len());
    for (section, name) in names {
        let groups = section.groups().iter().filter(|group| group.has(name)).count();
        assert_eq!(groups, 1, "{section:?} {name}");
    }
    for section in KeySection::LITELLMS {
        let names: Vec<_> = section.groups().iter().flat_map(KeyGroup::names).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{section:?} {name} is there twice");
        }
    }
}

/// A config in which the mapping has each name of the table, without a value.
fn config(section: KeySection) -> String {
    let mut text = String::new();
    let indent = match section {
        KeySection::TopLevel => "",
        KeySection::Entry => {
            text += "model_list:\n- \n";
            "  "
        }
        KeySection::LitellmParams => {
            text += "model_list:\n- model_name: m\n  litellm_params:\n";
            "    "
        }
        KeySection::ModelInfo => {
            text += "model_list:\n- model_name: m\n  litellm_params: {model: openai/m}\n  \
                     model_info:\n";
            "    "
        }
        _ => {
            let (name, _) = SECTIONS.iter().find(|(_, it)| *it == section).unwrap();
            writeln!(text, "{name}:").unwrap();
            "  "
        }
    };
    for name in section.names() {
        writeln!(text, "{indent}{name}: ").unwrap();
    }
    text
}

#[test]
fn a_key_is_honoured_if_a_reader_reads_it() {
    for (title, section) in SECTIONS {
        let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
        let text = config(section);
        let config = crate::read(&file, &text, &Environment::default(), UnknownKeys::Warn).unwrap();
        for name in section.names() {
            let found = config.keys.iter().filter(|it| {
                let path = &it.place.path;
                path.rsplit('.').next() == Some(name) && it.place.line > 0
            });
            let found: Vec<_> = found.map(|it| it.standing).collect();
            let is_container = ["callbacks", "litellm_params", "model_info"].contains(&name)
                || (section == KeySection::TopLevel && found.is_empty());
            if is_container || name == "custom_auth" {
                continue;
            }
            let expected = match section.standing(name).unwrap() {
                Standing::Unsupported(_) | Standing::Protects { .. } => "no effect here",
                other => &other.to_string(),
            };
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found, [expected], "{title} {name}");
        }
    }
}

/// The page, made from the table.
fn page() -> String {
    let head = include_str!("../../../../docs/litellm-keys.md").split("\n## ").next();
    let mut page = head.unwrap_or_default().to_owned();
    for (title, section) in SECTIONS {
        let title = match section {
            KeySection::TopLevel => "Top level".to_owned(),
            KeySection::Entry => "Entries of `model_list`".to_owned(),
            _ => format!("`{title}`"),
        };
        write!(page, "\n## {title}\n\n| keys | here | |\n|---|---|---|\n").unwrap();
        for group in section.groups() {
            let names: Vec<_> = group.names().map(|name| format!("`{name}`")).collect();
            let (standing, reason) = (group.standing, group.standing.reason());
            let reason = match standing {
                Standing::Protects { instead, .. } => {
                    format!("**refuses the start**: {reason}; {instead}")
                }
                _ => reason.to_owned(),
            };
            writeln!(page, "| {} | {standing} | {reason} |", names.join(", ")).unwrap();
        }
    }
    page
}

/// `UPDATE_DOCS=1` writes the page anew.
#[test]
fn the_page_of_keys_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/litellm-keys.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert_eq!(found, page(), "run this test with UPDATE_DOCS=1");
}
