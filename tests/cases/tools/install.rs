//! `make install`: its files are where docs/install.md says, and the program finds its callbacks.

use callgate_tests::{build, within};
use std::{fs, path::Path, process::Stdio};
use tokio::process::Command;

const PLUGINS: [&str; 5] = ["routing", "rate_limit", "guardrail", "audit_log", "langsmith"];

const CONFIG: &str = "\
model_list:
  - model_name: gpt
    litellm_params: {model: openai/gpt-4o-mini, mock_response: hello}
litellm_settings:
  callbacks: [routing, rate_limit]
";

async fn make(target: &str, prefix: &Path) {
    let mut command = Command::new("make");
    command.arg(target).arg(format!("BUILT={}", build::folder().display()));
    command.arg(format!("PREFIX={}", prefix.display())).current_dir(build::repository());
    let ended = within("make", command.kill_on_drop(true).output()).await.unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[tokio::test]
async fn an_installed_gateway_finds_its_callbacks_until_it_is_uninstalled() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().canonicalize().unwrap();
    let library = |name: &str| prefix.join(format!("lib/callgate/plugins/lib{name}.so"));
    let (program, unit) =
        (prefix.join("bin/callgate"), prefix.join("lib/systemd/system/callgate.service"));
    make("install", &prefix).await;
    let started = fs::read_to_string(&unit).unwrap();
    assert!(started.contains(&format!("ExecStart={} --config", program.display())), "{started}");

    let config = prefix.join("config.yaml");
    fs::write(&config, CONFIG).unwrap();
    let mut check = Command::new(&program);
    check.arg("check").arg("--config").arg(&config).env_clear().stdin(Stdio::null());
    let ended = within("callgate check", check.kill_on_drop(true).output()).await.unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(ended.status.success(), "{said}{}", String::from_utf8_lossy(&ended.stderr));
    for name in ["routing", "rate_limit"] {
        assert!(said.contains(&library(name).display().to_string()), "{said}");
    }

    make("uninstall", &prefix).await;
    let left = PLUGINS.iter().map(|name| library(name)).chain([program, unit]);
    let left: Vec<_> = left.filter(|file| file.exists()).collect();
    assert!(left.is_empty(), "{left:?}");
}
