//! Runs the documents' commands. Each block of README and of the reference runs in a folder like a
//! built clone's, with a gateway on the repository's config; the blocks of a guide run one after
//! another in one folder.

use super::{
    GUIDE, OPERATORS, README, REFERENCE,
    blocks::{Block, blocks},
    configs, fits, snippets,
};
use callgate_tests::{Answer, Gateway, ScriptedUpstream, build, upstream, within};
use std::{fs, os::unix::fs::symlink, path::Path, process::Stdio};
use tokio::process::Command;

/// The key that README puts into `.env`.
const KEY: &str = "sk-local-admin";

/// The address of the documents' gateways.
const ADDRESS: &str = "127.0.0.1:4000";

/// The command that starts a guide's gateway.
const SERVE: &str = "callgate --config config.yaml\n";

/// A cargo that builds in the shared folder of generated crates, without optimizing, with this
/// workspace's versions. The crate's manifest is its last argument.
const CARGO: &str = r#"
cargo() {
  local folder=${@: -1}; folder=${folder%Cargo.toml}
  cp "$LOCK" "${folder}Cargo.lock" && mkdir -p "${folder}target" &&
    ln -sfn "$BUILDS/debug" "${folder}target/release" && CARGO_TARGET_DIR="$BUILDS" "$CARGO" "${@/--release/--quiet}"
}
"#;

/// The output of the block at `index`, as the document shows it.
fn prints<'a>(document: &str, blocks: &'a [Block], index: usize) -> &'a str {
    let line = blocks[index].line;
    assert_eq!(blocks[index].language, "sh", "{document}:{line}: only `sh` blocks can be run");
    let prints = blocks.get(index + 1).filter(|next| next.language == "text");
    &prints.unwrap_or_else(|| panic!("{document}:{line}: what does it print?")).text
}

/// Runs commands in `folder`; `address` is that of the gateway that they call.
async fn run(commands: &str, folder: &Path, address: &str) -> String {
    let builds = commands.contains("cargo ");
    let commands = format!("{CARGO}{}", commands.replace(ADDRESS, address));
    let mut command = Command::new("bash");
    command.args(["-uo", "pipefail", "-c", &commands]).env_clear();
    for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
        command.envs(std::env::var_os(name).filter(|_| builds).map(|value| (name, value)));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", build::folder().display()));
    command.env("CARGO", env!("CARGO")).env("CARGO_NET_OFFLINE", "true");
    command.env("BUILDS", snippets::target());
    command.env("LOCK", build::repository().join("Cargo.lock"));
    command.current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = if builds {
        // No time limit: the first build compiles all dependencies.
        command.output().await.unwrap()
    } else {
        within("the document's commands", command.output()).await.unwrap()
    };
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&said).replace(address, ADDRESS)
}

#[track_caller]
fn compare(document: &str, line: usize, expected: &str, found: &str) {
    let same = fits(expected.trim_end(), found.trim_end());
    assert!(same, "{document}:{line}\n-- expected\n{expected}\n-- found\n{found}");
}

/// A gateway on the repository's own config, in a folder that looks like a built clone.
async fn clone(upstream: &ScriptedUpstream) -> Gateway {
    let root = build::repository();
    let config = fs::read_to_string(root.join("config.yaml")).unwrap();
    let config = config.replace("https://api.groq.com/openai/v1", &upstream.groq_base());
    let variables = format!(
        "LITELLM_MASTER_KEY={KEY}\nGROQ_API_KEY=g\nOPENAI_API_KEY=o\nOPENAI_API_BASE={}\n\
         OLLAMA_API_BASE={}\n",
        upstream.openai_base(),
        upstream.ollama_base()
    );
    let gateway = Gateway::with_config(config).file(".env", &variables).start().await;
    let folder = gateway.folder();
    fs::create_dir(folder.join("target")).unwrap();
    symlink(build::folder(), folder.join("target/release")).unwrap();
    symlink(root.join("tests"), folder.join("tests")).unwrap();
    gateway
}

/// Runs each marked block of `document` against its own gateway; returns the number of blocks.
async fn run_each(document: &str) -> usize {
    let blocks = blocks(document);
    let tested = blocks.iter().enumerate().filter(|(_, block)| block.mark == "tested");
    let mut count = 0;
    for (index, block) in tested {
        let upstream = upstream(Answer::default()).await;
        let gateway = clone(&upstream).await;
        let address = gateway.address().to_string();
        let found = run(&block.text, gateway.folder(), &address).await;
        compare(document, block.line, prints(document, &blocks, index), &found);
        let _ = gateway.stop().await;
        count += 1;
    }
    count
}

#[tokio::test]
async fn readme_and_reference_print_what_they_say() {
    let counts = (run_each(README).await, run_each(REFERENCE).await);
    assert!(counts.0 >= 3 && counts.1 >= 4, "marks were lost: {counts:?} are left");
}

/// Runs a guide's blocks from the first to the last.
async fn follow(document: &str, plugins: Option<&Path>) {
    let setup = Gateway::with_config("model_list: []").plugin_dir(None).env("HOME", "/nowhere");
    let config = setup.config_path();
    let folder = config.parent().unwrap();
    let mut gateway: Option<Gateway> = None;
    let blocks = blocks(document);
    let mut count = 0;
    for (index, block) in blocks.iter().enumerate() {
        let line = block.line;
        if let Some(file) = block.marked("file: ") {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, &block.text).unwrap();
        }
        if block.mark == "serves" {
            assert_eq!(block.text, SERVE, "{document}:{line}: the guides' gateway is started so");
            if let Some(gateway) = gateway.take() {
                let _ = gateway.stop().await;
            }
            gateway = Some(setup.clone().start().await);
        }
        if block.mark == "tested" {
            let address = gateway.as_ref().map_or_else(String::new, |it| it.address().to_string());
            let address = if address.is_empty() { ADDRESS } else { &address };
            let found = run(&block.text, folder, address).await;
            compare(document, line, prints(document, &blocks, index), &found);
            count += 1;
        }
    }
    // By now all plugins exist.
    for block in blocks.iter().filter(|block| block.language == "yaml") {
        configs::check(document, block, folder, plugins).await;
    }
    assert!(count >= 2, "{document} lost its marks: {count} are left");
    if let Some(gateway) = gateway {
        let _ = gateway.stop().await;
    }
}

#[tokio::test]
async fn the_plugin_guide_can_be_followed() {
    let plugins = snippets::build().await;
    follow(GUIDE, Some(&plugins)).await;
}

#[tokio::test]
async fn the_operators_guide_can_be_followed() {
    follow(OPERATORS, None).await;
}
