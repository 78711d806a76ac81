//! The four proxies that take turns: nginx, the bare relay, the gateway without callbacks and the
//! gateway with the two shipped ones. How each is configured and started; all on the proxy's core.

use crate::{
    load::CLIENT_KEY,
    process::{Cores, Place, Process, ProcessError, Usage, free_port},
    workload::Workload,
};
use serde_json::{Value, json};
use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// One proxy under test, running.
#[derive(Debug)]
pub struct Proxy {
    pub kind: Kind,
    pub process: Process,
    /// Before the first request.
    pub idle: Usage,
}

/// A program and its arguments.
pub type ProxyCommand = (PathBuf, Vec<OsString>);

/// The kind of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Relay,
    Gateway,
    GatewayWithCallbacks,
}

/// Everything needed to start a proxy.
#[derive(Debug)]
pub struct Setup<'a> {
    pub cores: &'a Cores,
    /// Configuration and logs go here.
    pub directory: &'a Path,
    pub upstream: SocketAddr,
    pub programs: &'a Path,
    pub plugins: &'a Path,
    pub nginx: Option<PathBuf>,
    pub workloads: &'a [Workload],
    /// The gateway gets one worker whatever the number of CPUs, and probes no plugin, because under
    /// valgrind a program cannot start itself.
    pub under_valgrind: bool,
}

/// Why a proxy could not be started.
#[derive(Debug, Error)]
pub enum SetupError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("`{path}` cannot be written")]
    Write { path: PathBuf, source: io::Error },
    #[error("expected the program `{0}`, found nothing there; build with `cargo build --release`")]
    NotBuilt(PathBuf),
    #[error("expected nginx, found none; install it (on Debian: apt-get install nginx-light)")]
    NoNginx,
}

impl Kind {
    /// The heading of its column.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Relay => "bare relay",
            Self::Gateway => "gateway",
            Self::GatewayWithCallbacks => "gateway + 2 callbacks",
        }
    }

    /// Its name in file names.
    #[must_use]
    pub fn file_stem(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Relay => "relay",
            Self::Gateway => "gateway",
            Self::GatewayWithCallbacks => "gateway-callbacks",
        }
    }
}

impl Setup<'_> {
    /// Starts the fake upstream, on other cores than the proxy's.
    ///
    /// # Errors
    /// If it is not built or does not start.
    pub fn start_upstream(
        cores: &Cores,
        programs: &Path,
        directory: &Path,
    ) -> Result<Process, SetupError> {
        let port = free_port()?;
        let program = built(programs, "bench-upstream")?;
        let arguments = ["--port".to_owned(), port.to_string()];
        let log = directory.join("upstream.log");
        Ok(Process::start(&program, arguments, (cores, Place::OtherCores), port, &log)?)
    }

    /// Starts one proxy; `None` for nginx if it is not installed.
    ///
    /// # Errors
    /// If the program is missing, refuses its configuration or does not listen.
    pub fn start(&self, kind: Kind) -> Result<Option<Proxy>, SetupError> {
        if kind == Kind::Nginx && self.nginx.is_none() {
            return Ok(None);
        }
        let port = free_port()?;
        let (program, arguments) = self.command(kind, port)?;
        let place = (self.cores, Place::ProxyCore);
        let process = Process::start(&program, arguments, place, port, &self.log(kind))?;
        let idle = process.usage()?;
        Ok(Some(Proxy { kind, process, idle }))
    }

    /// Writes a proxy's configuration; returns the program and the arguments that start it on
    /// `port`.
    ///
    /// # Errors
    /// If the program is missing or the configuration cannot be written.
    pub fn command(&self, kind: Kind, port: u16) -> Result<ProxyCommand, SetupError> {
        match kind {
            Kind::Nginx => {
                let nginx = self.nginx.clone().ok_or(SetupError::NoNginx)?;
                Ok((nginx, self.nginx_arguments(port)?))
            }
            Kind::Relay => Ok((
                built(self.programs, "bench-relay")?,
                strings(["--port", &port.to_string(), "--upstream", &self.upstream.to_string()]),
            )),
            Kind::Gateway => self.gateway(kind, port, &[]),
            Kind::GatewayWithCallbacks => self.gateway(kind, port, &["routing", "rate_limit"]),
        }
    }

    /// The file for a proxy's output.
    #[must_use]
    pub fn log(&self, kind: Kind) -> PathBuf {
        self.directory.join(kind.file_stem()).with_extension("log")
    }

    fn nginx_arguments(&self, port: u16) -> Result<Vec<OsString>, SetupError> {
        let prefix = self.directory.join("nginx");
        std::fs::create_dir_all(&prefix)
            .map_err(|source| SetupError::Write { path: prefix.clone(), source })?;
        let config = prefix.join("nginx.conf");
        write(&config, &nginx_config(port, self.upstream))?;
        Ok(vec![
            "-p".into(),
            prefix.into(),
            "-c".into(),
            config.into(),
            "-e".into(),
            "stderr".into(),
        ])
    }

    fn gateway(
        &self,
        kind: Kind,
        port: u16,
        callbacks: &[&str],
    ) -> Result<ProxyCommand, SetupError> {
        let config = self.directory.join(kind.file_stem()).with_extension("yaml");
        let mut written = gateway_config(self.upstream, self.workloads, callbacks);
        if self.under_valgrind {
            written["callgate"] = json!({"probe": "never"});
        }
        write(&config, &format!("{written:#}\n"))?;
        let program = built(self.programs, "callgate")?;
        let mut arguments = gateway_arguments(&config, port, self.plugins);
        if self.under_valgrind {
            arguments.extend(strings(["--num_workers", "1"]));
        }
        Ok((program, arguments))
    }
}

/// The gateway's command line; its access log is on, one JSON line per request.
#[must_use]
pub fn gateway_arguments(config: &Path, port: u16, plugins: &Path) -> Vec<OsString> {
    let mut arguments = strings(["--host", "127.0.0.1", "--port", &port.to_string()]);
    arguments.extend(strings(["--log-format", "json", "--config"]));
    arguments.push(config.into());
    arguments.push("--plugin-dir".into());
    arguments.push(plugins.into());
    arguments
}

/// A program of this workspace, if it has been built.
///
/// # Errors
/// If it has not been built.
pub fn built(programs: &Path, name: &str) -> Result<PathBuf, SetupError> {
    let program = programs.join(name);
    if program.is_file() { Ok(program) } else { Err(SetupError::NotBuilt(program)) }
}

/// YAML, written as JSON. Nobody reaches the limit, so the callback counts every request and
/// rejects none.
fn gateway_config(upstream: SocketAddr, workloads: &[Workload], callbacks: &[&str]) -> Value {
    let mut models: Vec<_> = workloads
        .iter()
        .flat_map(|workload| [workload.clone(), workload.with_json_replies()])
        .map(|workload| (workload.model_name(), workload.upstream_model()))
        .collect();
    models.sort();
    models.dedup();
    let deployment = |(name, upstream_model): (String, String)| {
        json!({"model_name": name, "litellm_params": {
            "model": format!("openai/{upstream_model}"),
            "api_base": format!("http://{upstream}/v1"),
            "api_key": "sk-bench-upstream",
        }})
    };
    let mut config = json!({
        "general_settings": {"master_key": CLIENT_KEY},
        "model_list": models.into_iter().map(deployment).collect::<Vec<_>>(),
        "litellm_settings": {"callbacks": callbacks},
    });
    if callbacks.contains(&"rate_limit") {
        // Never reached, so that only admissions are measured; a short span, because an exact
        // window remembers each admission of its span.
        let limit = json!({"provider": "openai", "requests": 1_000_000, "per": "1s"});
        config["callback_settings"] = json!({"rate_limit": {"limits": [limit]}});
    }
    config
}

/// nginx at its best: connections kept on both sides, no access log, nothing on disk, replies
/// passed on as they arrive.
fn nginx_config(port: u16, upstream: SocketAddr) -> String {
    format!(
        "daemon off;
worker_processes 1;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_max_body_size 16m;
    client_body_buffer_size 1m;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream bench {{
        server {upstream};
        keepalive 128;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://bench;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
        }}
    }}
}}
"
    )
}

fn write(path: &Path, text: &str) -> Result<(), SetupError> {
    std::fs::write(path, text).map_err(|source| SetupError::Write { path: path.to_owned(), source })
}

fn strings<const N: usize>(texts: [&str; N]) -> Vec<OsString> {
    texts.map(OsString::from).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::workloads;

    #[test]
    fn every_workload_has_a_deployment_the_routing_callback_sends_to_openai() {
        let all = workloads(true);
        let config = gateway_config(([127, 0, 0, 1], 9).into(), &all, &["routing", "rate_limit"]);
        let names: Vec<_> = config["model_list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["model_name"].as_str().unwrap().to_owned())
            .collect();
        for workload in &all {
            assert!(names.contains(&workload.model_name()));
            assert!(names.contains(&workload.with_json_replies().model_name()));
        }
        assert!(names.iter().all(|name| name.starts_with("openai-")));
        assert_eq!(config["callback_settings"]["rate_limit"]["limits"][0]["provider"], "openai");
        let without = gateway_config(([127, 0, 0, 1], 9).into(), &all, &[]);
        assert_eq!(without.get("callback_settings"), None);
    }
}
