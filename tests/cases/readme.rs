//! README's commands, run as they stand there. A shell block below `<!-- tested -->` is run in a
//! folder with this build, the repository's config and a gateway; what it prints must be the `text`
//! block that follows, where `…` stands for any text.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use callgate_tests::{Answer, Gateway, ScriptedUpstream, build, tool, upstream, within};
use tokio::process::Command;

const MARK: &str = "<!-- tested -->";

/// As README tells the newcomer to put into `.env`.
const KEY: &str = "sk-local-admin";

/// Where README's gateway listens.
const ADDRESS: &str = "127.0.0.1:4000";

struct Example {
    line: usize,
    commands: String,
    prints: String,
}

/// A fenced block: its first line's number, its language, its text.
struct Block {
    line: usize,
    language: String,
    text: String,
    marked: bool,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut marked) = (false, false);
    for (index, line) in text.lines().enumerate() {
        if let Some(language) = line.strip_prefix("```") {
            if !open {
                let language = language.to_owned();
                blocks.push(Block { line: index + 2, language, text: String::new(), marked });
                marked = false;
            }
            open = !open;
        } else if open {
            let block = blocks.last_mut().unwrap();
            block.text.push_str(line);
            block.text.push('\n');
        } else if line == MARK {
            marked = true;
        }
    }
    assert!(!open, "a block of README is not closed");
    blocks
}

fn examples(text: &str) -> Vec<Example> {
    let blocks = blocks(text);
    let marked = blocks.iter().enumerate().filter(|(_, block)| block.marked);
    let examples = marked.map(|(index, block)| {
        let line = block.line;
        assert_eq!(block.language, "sh", "README:{line}: only `sh` blocks can be run");
        let prints = blocks.get(index + 1).filter(|next| next.language == "text");
        let prints = prints.unwrap_or_else(|| panic!("README:{line}: what does it print?"));
        Example { line, commands: block.text.clone(), prints: prints.text.clone() }
    });
    examples.collect()
}

/// Whether `found` is `expected`, whose `…` stand for any text.
fn fits(expected: &str, found: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else { return expected == found };
    let Some(mut found) = found.strip_prefix(start) else { return false };
    loop {
        if fits(rest, found) {
            return true;
        }
        let mut characters = found.chars();
        if characters.next().is_none() {
            return false;
        }
        found = characters.as_str();
    }
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

async fn run(commands: &str, gateway: &Gateway) -> String {
    let commands = commands.replace(ADDRESS, &gateway.address().to_string());
    let mut command = Command::new("bash");
    command.args(["-uo", "pipefail", "-c", &commands]);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.current_dir(gateway.folder()).stdin(Stdio::null()).kill_on_drop(true);
    let output = within("README's commands", command.output()).await.unwrap();
    let (said, complained) = (output.stdout, output.stderr);
    format!("{}{}", String::from_utf8_lossy(&said), String::from_utf8_lossy(&complained))
}

#[tokio::test]
async fn commands_print_what_it_says() {
    let text = fs::read_to_string(build::repository().join("README.md")).unwrap();
    let examples = examples(&text);
    assert!(examples.len() >= 5, "README lost its marks: {} are left", examples.len());
    for Example { line, commands, prints } in examples {
        let upstream = upstream(Answer::default()).await;
        let gateway = clone(&upstream).await;
        let found = run(&commands, &gateway).await;
        let found = found.replace(&gateway.address().to_string(), ADDRESS);
        let same = fits(prints.trim_end(), found.trim_end());
        assert!(same, "README:{line}\n-- expected\n{prints}\n-- found\n{found}");
        let _ = gateway.stop().await;
    }
}

/// The plugin of README is the one that `plugin new` writes, which a case builds and runs.
#[tokio::test]
async fn its_plugin_is_the_one_that_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let made = tool::plugin(folder.path(), &["new", "short_prompts"]).await;
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let written = fs::read_to_string(folder.path().join("short_prompts/src/lib.rs")).unwrap();
    let readme = fs::read_to_string(build::repository().join("README.md")).unwrap();
    let plugin = blocks(&readme).into_iter().find(|it| it.language == "rust");
    assert_eq!(plugin.expect("README has a whole plugin").text, written);
}

#[test]
fn an_ellipsis_stands_for_any_text() {
    for (expected, found, same) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a…", "a\nb", true),
        ("…b…d", "abcd", true),
        ("…b…d", "abc", false),
        ("…", "", true),
    ] {
        assert_eq!(fits(expected, found), same, "{expected} {found}");
    }
}
