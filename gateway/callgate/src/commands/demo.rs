//! `callgate demo`: the operator's walkthrough on this machine alone, without keys or network.
//!
//! A scripted upstream speaks the wire formats of Groq, OpenAI and Ollama; the gateway runs the
//! given config with its providers pointed there; a client sends the calls over sockets. The tests
//! use the same upstream. None of this is used on the path of a call.

mod client;
mod gateway;
mod reloads;
mod walkthrough;

use crate::{
    boot::{self, BootError},
    cli::{Address, Demo, Serve, Source},
};
use callgate_config::read_text;
use callgate_scripted_upstream::{Script, ScriptedUpstream};
use gateway::Gateway;
use serde_json::Value;
use std::{io::Write as _, path::Path, process::ExitCode};

/// The key of the demo's client.
const KEY: &str = "sk-local-admin";

#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("the scripted upstream does not start: {0}")]
    Upstream(#[from] callgate_scripted_upstream::StartError),
    #[error("{0}")]
    Gateway(#[from] BootError),
    #[error("cannot write to the temporary folder: {0}")]
    Folder(#[from] std::io::Error),
    #[error("{0}")]
    Client(#[from] client::ClientError),
    /// A problem of the given config, as a start would report it.
    #[error("{0}")]
    Config(String),
    #[error(
        "{config} lacks {lacks}; the demo walks through a deployment like that of the \
             `config.yaml` this gateway comes with"
    )]
    Lacks { config: String, lacks: String },
}

/// Runs the demo; succeeds if every step has the expected result.
pub async fn run(options: Demo) -> ExitCode {
    let mut out = std::io::stdout();
    match walk(options).await {
        Ok(report) => {
            let _ = writeln!(out, "{report}");
            if report.as_promised() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn walk(options: Demo) -> Result<walkthrough::Walkthrough, DemoError> {
    let upstream = ScriptedUpstream::start(Script::default()).await?;
    let folder = tempfile::tempdir()?;
    let env_file = folder.path().join("demo.env");
    let config = folder.path().join("config.yaml");
    std::fs::write(&env_file, variables(&upstream))?;
    std::fs::write(&config, pointed_here(&options.config, &upstream)?)?;
    let beside = options.config.parent().unwrap_or(Path::new("")).join("plugins");
    let plugin_dir = options.plugin_dir.or_else(|| beside.is_dir().then_some(beside));
    let serve = Serve {
        source: Source::of(config, plugin_dir, Some(env_file)),
        address: Address { host: Some("127.0.0.1".to_owned()), port: Some(0) },
        safe_mode: false,
        retry: false,
        log_format: None,
    };
    let written = serve.source.files.config.path.display().to_string();
    let built = boot::build(&serve.source, None).map_err(|problems| {
        let errors: Vec<_> = problems.errors().map(ToString::to_string).collect();
        let named = options.config.display().to_string();
        DemoError::Config(errors.join("\n").replace(&written, &named))
    })?;
    let lacks = lacks(&built);
    let pair = reloads::Pair::of(&built, folder.path())?;
    drop(built);
    if !lacks.is_empty() {
        let config = options.config.display().to_string();
        return Err(DemoError::Lacks { config, lacks: lacks.join(", ") });
    }
    let mut report = walkthrough::Walkthrough::of(&options.config);
    // Each part has its own gateway, so that each begins with unused rate limits.
    let gateway = Gateway::start(&serve).await?;
    walkthrough::chats(&gateway.url, &upstream, &mut report).await?;
    gateway.stop().await;
    for at_once in [1, 64] {
        let gateway = Gateway::start(&serve).await?;
        walkthrough::burst(&gateway.url, at_once, &mut report).await?;
        gateway.stop().await;
    }
    if let Some(pair) = pair {
        reloads::reloads(&serve, &pair, &upstream, &mut report).await?;
    }
    Ok(report)
}

/// The parts that the demo needs and the config lacks.
fn lacks(built: &boot::Built) -> Vec<String> {
    let routed = built.plugins.iter().any(|it| it.writes.iter().any(|what| what == "route"));
    let models = walkthrough::CHATS.iter().map(|(model, ..)| *model);
    let missing = models.filter(|model| !routed && built.deployments.resolve(model).is_none());
    let mut lacks: Vec<_> = missing.map(|model| format!("the model `{model}`")).collect();
    let limits = |it: &callgate_plugin_host::ListedPlugin| {
        let settings = &it.entry.settings;
        it.entry.name == "rate_limit"
            && settings.get("limits").and_then(Value::as_array).is_none_or(|limits| {
                limits.iter().any(|it| it["provider"] == "groq" && it["requests"] == 90)
            })
    };
    if !built.plugins.iter().any(limits) {
        lacks.push("a `rate_limit` that lets 90 calls a minute through to `groq`".to_owned());
    }
    lacks
}

/// The variables that the config needs, with the demo's values.
fn variables(upstream: &ScriptedUpstream) -> String {
    format!(
        "LITELLM_MASTER_KEY={KEY}\nGROQ_API_KEY=demo-groq\nGROQ_API_BASE={groq}\n\
         OPENAI_API_KEY=demo-openai\nOPENAI_API_BASE={openai}\nOPENAI_BASE_URL={openai}\n\
         OLLAMA_API_BASE={ollama}\n",
        groq = upstream.groq_base(),
        openai = upstream.openai_base(),
        ollama = upstream.ollama_base(),
    )
}

/// The config with Groq's literal address replaced by the demo's. It then names the provider, which
/// the address alone may have identified.
fn pointed_here(config: &Path, upstream: &ScriptedUpstream) -> Result<String, std::io::Error> {
    let text = read_text(config)
        .map_err(|error| std::io::Error::other(format!("{}: {error}", config.display())))?;
    let groq = upstream.groq_base();
    Ok(text.lines().map(|line| with_groq_at(line, &groq) + "\n").collect())
}

fn with_groq_at(line: &str, base: &str) -> String {
    const WRITTEN: [&str; 2] = ["https://api.groq.com/openai/v1", "https://api.groq.com/v1"];
    const NAMED: &str = "custom_llm_provider: groq";
    let key = line.trim_start_matches([' ', '-']);
    let Some(written) = WRITTEN.into_iter().find(|url| key.contains(url)) else {
        return line.to_owned();
    };
    if key.starts_with("api_base:") || key.starts_with("base_url:") {
        let indent = " ".repeat(line.len() - key.len());
        return format!("{}\n{indent}{NAMED}", line.replace(written, base));
    }
    let members = |quote: &str| format!("{quote}{base}{quote}, {NAMED}");
    for quote in ["\"", "'", ""] {
        let quoted = format!("{quote}{written}{quote}");
        if !key.starts_with('#') && key.contains(&quoted) && key.contains('{') {
            return line.replace(&quoted, &members(quote));
        }
    }
    line.replace(written, base)
}

#[cfg(test)]
mod tests {
    use super::with_groq_at;

    #[test]
    fn groq_keeps_its_label_wherever_it_is() {
        for (line, expected) in [
            (
                "      api_base: https://api.groq.com/openai/v1",
                "      api_base: http://h\n      custom_llm_provider: groq",
            ),
            (
                "    - base_url: 'https://api.groq.com/v1' # x",
                "    - base_url: 'http://h' # x\n      custom_llm_provider: groq",
            ),
            (
                "{model: a, api_base: \"https://api.groq.com/v1\"}",
                "{model: a, api_base: \"http://h\", custom_llm_provider: groq}",
            ),
            ("# https://api.groq.com/v1", "# http://h"),
            ("model: groq/x", "model: groq/x"),
        ] {
            assert_eq!(with_groq_at(line, "http://h"), expected);
        }
    }
}
