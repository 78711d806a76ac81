//! Checks the documents' YAML: each block is a config that `callgate check` accepts, or a part of
//! one: entries of the `callbacks` list, or sections beside a `model_list`.

use super::{
    README, REFERENCE, SHIPPED,
    blocks::{Block, blocks},
};
use callgate_tests::Gateway;
use std::{fs, path::Path};

const MODELS: &str = "\
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o-mini, mock_response: hello}
";

/// Completes a block's text to a config.
fn whole(text: &str) -> String {
    let lines = || text.lines().filter(|line| !line.trim_start().starts_with('#'));
    if lines().any(|line| line.starts_with("model_list:")) {
        return text.to_owned();
    }
    if lines().next().is_some_and(|line| line.starts_with("- ")) {
        let entries: String = text.lines().map(|line| format!("    {line}\n")).collect();
        return format!("{MODELS}litellm_settings:\n  callbacks:\n{entries}");
    }
    let mut config = format!("{MODELS}{text}");
    if lines().any(|line| line == "callback_settings:") && !text.contains("callbacks:") {
        // Settings are only read for listed callbacks.
        config.push_str("litellm_settings:\n  callbacks:\n");
        let names = lines().filter_map(|line| line.strip_prefix("  ")?.strip_suffix(':'));
        for name in names.filter(|name| !name.starts_with(' ')) {
            config.push_str("    - ");
            config.push_str(name);
            config.push('\n');
        }
    }
    config
}

/// Checks a block, in a folder whose `plugins` has the files it names.
pub(super) async fn check(document: &str, block: &Block, folder: &Path, plugins: Option<&Path>) {
    let logs = folder.join("log");
    fs::create_dir_all(&logs).unwrap();
    let config = whole(&block.text).replace("/var/log/callgate", &logs.display().to_string());
    let setup = Gateway::with_config(&config).plugin_dir(plugins.map(Path::to_owned));
    let installed = folder.join("plugins");
    if installed.is_dir() {
        let link = setup.config_path().with_file_name("plugins");
        std::os::unix::fs::symlink(installed, link).unwrap();
    }
    let ended = setup.check().await;
    let said = &ended.stderr;
    assert!(ended.status.success(), "{document}:{}\n{said}\n-- in\n{config}", block.line);
}

#[tokio::test]
async fn the_references_configs_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    for document in [README, REFERENCE, SHIPPED] {
        for block in blocks(document).iter().filter(|block| block.language == "yaml") {
            check(document, block, folder.path(), None).await;
        }
    }
}
