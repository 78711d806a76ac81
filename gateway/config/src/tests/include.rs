//! `include`: what the files add, where their problems are, and which files are refused.

use crate::{Config, Environment, UnknownKeys, load};
use std::fs;

const MODEL: &str = "{model_name: NAME, litellm_params: {model: openai/x, api_key: k}}";

fn model(name: &str) -> String {
    MODEL.replace("NAME", name)
}

/// Loads the first of these files, each in a folder of this test.
fn load_first(files: &[(&str, String)]) -> (Config, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let path = folder.path().join(files[0].0);
    let config = load(&path, &Environment::default(), UnknownKeys::Warn).unwrap();
    let root = format!("{}/", folder.path().display());
    let said = config.problems.iter().map(|it| it.to_string().replace(&root, "")).collect();
    (config, said)
}

fn names(config: &Config) -> Vec<&str> {
    config.models.iter().map(|it| it.model_name.as_str()).collect()
}

#[test]
fn lists_grow_and_sections_come_beside() {
    let (config, said) = load_first(&[
        ("c.yaml", format!("model_list: [{}]\ninclude: [parts/a.yaml, b.yaml]\n", model("own"))),
        ("parts/a.yaml", format!("include: [c.yaml]\nmodel_list:\n- {}\n", model("a"))),
        (
            "b.yaml",
            format!("litellm_settings: {{drop_params: true}}\nmodel_list: [{}]\n", model("b")),
        ),
        ("parts/c.yaml", format!("model_list: [{}]\nrouter_settings: {{timeot: 1}}\n", model("c"))),
    ]);
    assert_eq!(names(&config), ["own", "a", "b", "c"]);
    assert!(config.litellm.drop_params);
    assert_eq!(config.files.len(), 4);
    // Positions are those of the file that has the key.
    assert_eq!(
        said,
        [
            "parts/c.yaml:2:19: router_settings.timeot: unknown key `timeot`; did you mean `timeout`?"
        ]
    );
    assert!(config.models[1].place.file.ends_with("parts/a.yaml"));
    assert_eq!(config.models[1].place.line, 3);
}

#[test]
fn a_file_may_be_named_relative_to_the_config_and_counts_once() {
    let (config, said) = load_first(&[
        ("c.yaml", "include: [parts/a.yaml, b.yaml]\n".to_owned()),
        ("parts/a.yaml", "include: [b.yaml]\n".to_owned()),
        ("b.yaml", format!("model_list: [{}]\n", model("b"))),
    ]);
    assert_eq!((names(&config), said.len()), (vec!["b"], 0), "{said:?}");
}

#[test]
fn what_cannot_be_merged_is_refused_where_it_stands() {
    let include = |names: &str| format!("include: {names}\nmodel_list: []\n");
    let some = || "litellm_settings: {drop_params: true}\n".to_owned();
    let cases: [(Vec<(&str, String)>, &str); 7] = [
        (
            vec![("c.yaml", include("a.yaml"))],
            "c.yaml:1:10: include: expected a list of files, found text",
        ),
        (
            vec![("c.yaml", include("[[a]]"))],
            "c.yaml:1:11: include[0]: expected a file's name, found a list",
        ),
        (
            vec![("c.yaml", include("[no.yaml]"))],
            "c.yaml:1:11: include[0]: the included file `no.yaml` cannot be used: ",
        ),
        (
            vec![("c.yaml", include("[a.yaml]")), ("a.yaml", "x: [\n".to_owned())],
            "c.yaml:1:11: include[0]: the included file `a.yaml` cannot be used: a.yaml:2:1: not valid YAML",
        ),
        (
            vec![("c.yaml", include("[a.yaml]")), ("a.yaml", "include: [c.yaml]\n".to_owned())],
            "a.yaml:1:11: include[0]: `c.yaml` includes itself; remove it here",
        ),
        (
            vec![
                ("c.yaml", include("[a.yaml]") + &some()),
                ("a.yaml", format!("# one\n{}", some())),
            ],
            "a.yaml:2:1: litellm_settings: `litellm_settings` is already given at c.yaml:3:1; keep",
        ),
        (
            vec![("c.yaml", include("[a.yaml]")), ("a.yaml", "- 1\n".to_owned())],
            "c.yaml:1:11: include[0]: the included file `a.yaml` cannot be used: expected a mapping, found a list",
        ),
    ];
    for (files, expected) in cases {
        let (config, said) = load_first(&files);
        let errors = config.problems.iter().filter(|it| it.is_error()).count();
        assert!(
            errors == 1 && said.iter().any(|it| it.starts_with(expected)),
            "{said:?}\n{expected}"
        );
    }
}
