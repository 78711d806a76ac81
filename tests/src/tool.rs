//! Runs the real binary as a tool: a subcommand in a folder, until it exits.

use crate::{build, gateway::Ended, within};
use serde_json::Value;
use std::{path::Path, process::Stdio};
use tokio::process::Command;

/// `callgate plugin …` in `folder`, with no environment but `PATH`.
pub async fn plugin(folder: &Path, arguments: &[&str]) -> Ended {
    callgate(folder, &[&["plugin"], arguments].concat()).await
}

/// `callgate …` in `folder`, with no environment but `PATH`.
pub async fn callgate(folder: &Path, arguments: &[&str]) -> Ended {
    let mut command = Command::new(build::binary());
    command.args(arguments).current_dir(folder).env_clear();
    command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = within("the tool's end", command.output()).await.expect("the binary runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

impl Ended {
    /// The exit status; fails if a signal ended the process.
    #[must_use]
    pub fn code(&self) -> i32 {
        let said = || format!("{}: {}{}", self.status, self.stdout, self.stderr);
        self.status.code().unwrap_or_else(|| panic!("{}", said()))
    }

    /// Its output as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let said = || format!("{}: {}{}", self.status, self.stdout, self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {}", said()))
    }
}
