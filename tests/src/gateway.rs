//! The real binary as a child process: started with the test's own configuration in its own folder,
//! ended by SIGTERM. Its environment holds only the test's variables.

use crate::{Client, MASTER_KEY, build, log::Log, within};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// How a gateway is started. A clone is started with the same files.
#[derive(Debug, Clone)]
pub struct Setup {
    folder: Arc<TempDir>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    plugin_dir: Option<PathBuf>,
}

/// A running gateway. Dropping it kills the process.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    log: Log,
    output: Log,
    folder: Arc<TempDir>,
}

/// A process that ended by itself.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its stdout.
    pub stdout: String,
    /// All of its stderr.
    pub stderr: String,
}

impl Gateway {
    /// A gateway with this `config.yaml`: YAML text, or a JSON value.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "callers pass what they just made")]
    pub fn with_config(config: impl ToString) -> Setup {
        let setup = Setup {
            folder: Arc::new(TempDir::new().expect("a temporary folder")),
            arguments: Vec::new(),
            environment: Vec::new(),
            plugin_dir: Some(build::folder()),
        };
        setup.file("config.yaml", &config.to_string())
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client that holds the master key.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address, MASTER_KEY)
    }

    /// The folder its configuration is in.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Replaces a file beside the configuration at once, as a careful editor does.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass what they just made")]
    pub fn write(&self, name: &str, content: impl ToString) {
        let path = self.folder().join(name);
        let new = path.with_extension("new");
        std::fs::write(&new, content.to_string()).expect("the test's folder is writable");
        std::fs::rename(new, path).expect("the test's folder is writable");
    }

    /// Its log, which is its stderr.
    #[must_use]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Its stdout.
    #[must_use]
    pub fn output(&self) -> &Log {
        &self.output
    }

    /// Its resident memory, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.status_bytes("VmRSS:")
    }

    /// The most resident memory that it has had, in bytes.
    #[must_use]
    pub fn peak_memory(&self) -> usize {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> usize {
        let id = self.child.id().expect("the gateway runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its memory");
        let kib: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
        kib * 1024
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the gateway runs")
    }

    /// Sends SIGTERM and returns at once.
    pub fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Sends a signal and returns at once.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.pid()).expect("a process id"));
        kill(id, signal).expect("a signal can be sent");
    }

    /// Waits for the process to end by itself.
    pub async fn exit(&mut self) -> ExitStatus {
        within("the gateway's exit", self.child.wait()).await.expect("a child can be waited for")
    }

    /// Ends it with SIGTERM, checks that it exits with code 0, and returns its whole log.
    pub async fn stop(mut self) -> String {
        self.terminate();
        let status = self.exit().await;
        let log = self.log.complete().await;
        assert_eq!(status.code(), Some(0), "exit after SIGTERM: {status}\n{log}");
        assert!(!panicked(&log), "{log}");
        log
    }
}

impl Setup {
    /// Adds a command line argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Adds a variable to the process's environment, which is empty otherwise.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a file beside the configuration.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        let path = self.folder.path().join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).expect("the test's folder is writable");
        }
        std::fs::write(path, content).expect("the test's folder is writable");
        self
    }

    /// Where its configuration lies.
    #[must_use]
    pub fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    /// Starts it with the path of a configuration file that does not exist.
    #[must_use]
    pub fn without_config(self) -> Self {
        std::fs::remove_file(self.folder.path().join("config.yaml")).expect("it was written");
        self
    }

    /// Looks up plugins in `folder` instead of the build's; `None` passes no folder at all.
    #[must_use]
    pub fn plugin_dir(mut self, folder: Option<PathBuf>) -> Self {
        self.plugin_dir = folder;
        self
    }

    /// Starts it and waits until it listens.
    pub async fn start(self) -> Gateway {
        let command = self.command(&[]);
        self.listening(command).await
    }

    /// The same with a listening socket that is handed over as systemd does it.
    pub async fn start_on(self, socket: &std::net::TcpListener) -> Gateway {
        let command = self.on(socket);
        self.listening(command).await
    }

    /// Runs it on such a socket until it exits, with any status.
    pub async fn ended_on(self, socket: &std::net::TcpListener) -> Ended {
        Self::finished(self.on(socket)).await
    }

    /// A shell knows the id of the process that it becomes, which the protocol asks for.
    fn on(&self, socket: &std::net::TcpListener) -> Command {
        let command = self.command(&[]);
        let mut shell = Command::new("/bin/sh");
        let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
        shell.args(["-c", script]).arg(build::binary()).args(command.as_std().get_args());
        let socket = socket.try_clone().expect("a descriptor");
        shell.env_clear().envs(self.environment.iter().cloned());
        shell.current_dir(self.folder.path()).kill_on_drop(true);
        shell.stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        shell
    }

    async fn listening(self, mut command: Command) -> Gateway {
        let mut child = command.spawn().expect("the gateway's binary runs");
        let log = Log::of(child.stderr.take().expect("stderr is a pipe"));
        let output = Log::of(child.stdout.take().expect("stdout is a pipe"));
        let listening = log.find(|line| line.message().contains("listening on http")).await;
        let Some(line) = listening else {
            panic!("the gateway ended before it listened:\n{}", log.text())
        };
        let address = line.field("address").as_str().unwrap_or(&line.text);
        let address = address.rsplit("://").next().and_then(|rest| rest.split_whitespace().next());
        let address = address.unwrap_or_default();
        let address = address.parse().unwrap_or_else(|_| panic!("no address in: {}", line.text));
        Gateway { child, address, log, output, folder: self.folder }
    }

    /// Runs it until it exits, for a start that must fail. Its output is for people.
    pub async fn refused(self) -> Ended {
        let ended = self.arg("--log-format").arg("pretty").run(&[]).await;
        assert!(!ended.status.success(), "the start was not refused:\n{}", ended.stderr);
        ended
    }

    /// Runs `callgate check` on the configuration.
    pub async fn check(self) -> Ended {
        self.run(&["check"]).await
    }

    /// Runs it until it exits, with any status.
    pub async fn ended(self) -> Ended {
        self.output(&[]).await
    }

    async fn run(self, subcommand: &[&str]) -> Ended {
        let ended = self.output(subcommand).await;
        let orderly = ended.status.code().is_some() && !panicked(&ended.stderr);
        assert!(orderly, "{}: {}", ended.status, ended.stderr);
        ended
    }

    async fn output(self, subcommand: &[&str]) -> Ended {
        Self::finished(self.command(subcommand)).await
    }

    async fn finished(mut command: Command) -> Ended {
        let output = within("the process's end", command.output());
        let output = output.await.expect("the gateway's binary runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        Ended { status: output.status, stdout, stderr }
    }

    fn command(&self, subcommand: &[&str]) -> Command {
        let mut command = Command::new(build::binary());
        command.args(subcommand).arg("--config").arg(self.folder.path().join("config.yaml"));
        if subcommand.is_empty() {
            let defaults = [("--log-format", "json"), ("--host", "127.0.0.1"), ("--port", "0")];
            for (name, default) in defaults {
                if !self.arguments.iter().any(|argument| argument == name) {
                    command.args([name, default]);
                }
            }
        }
        if let Some(folder) = &self.plugin_dir {
            command.arg("--plugin-dir").arg(folder);
        }
        command.args(&self.arguments).env_clear().envs(self.environment.iter().cloned());
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

/// Whether the gateway itself panicked: the log says so, or Rust's runtime before logging starts. A
/// callback's panic is a fault that is logged.
fn panicked(log: &str) -> bool {
    log.lines().any(|line| line.starts_with("thread '") || line.contains("the gateway panicked"))
}
