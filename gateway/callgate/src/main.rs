//! The `callgate` program: arguments in, exit code out.

use callgate::{
    boot,
    cli::{self, Check, Cli, Command, LitellmOptions, Misread, Serve},
    commands::{config_schema, demo, key, plugin, reload},
};
use callgate_plugin_host::{CrashWatch, child, exit_at_once, memory};
use callgate_server::{Reloads, Stop, descriptors};
use callgate_telemetry::{LogFormat, LogThrottle};
use clap::Parser as _;
use plugin_api::{PROBE_VARIABLE, is_probe};
use rustix::process::Signal as SystemSignal;
use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::CommandExt as _,
    process::{self, ExitCode},
    sync::Arc,
    time::Duration,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::Level;

/// Sent when a file grows beyond `RLIMIT_FSIZE`.
const XFSZ: SystemSignal = SystemSignal::XFSZ;

/// How long the exit waits for a log reader that takes nothing.
const LOG_PATIENCE: Duration = Duration::from_secs(1);

/// The total time for the last log lines.
const LAST_LINES: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    memory::bound();
    let given: Vec<_> = env::args_os().collect();
    let (line, litellm) = LitellmOptions::take_off(given.iter().cloned());
    let mut cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(error) => return misread(&error, &given),
    };
    if let Some(Command::Check(check)) = &mut cli.command {
        check.serve.source.litellm = litellm;
    } else {
        cli.serve.source.litellm = litellm;
    }
    match cli.command {
        None if cli.serve.source.litellm.only_check => {
            check(&Check { serve: cli.serve, against_running: false, keys: false, json: false })
        }
        None => start(cli.serve),
        Some(Command::Check(options)) => check(&options),
        Some(Command::Reload(options)) => finish(&reload::run(&options)),
        Some(Command::Probe) => match callgate_callbacks::run_probe() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(&format!("not for use by hand, or it cannot start: {error}")),
        },
        Some(Command::Demo(options)) => {
            if let Err(sentence) = restart_outside_probe() {
                return complain(&sentence);
            }
            leave(watched(|| in_runtime(demo::run(options))))
        }
        Some(Command::Config(config)) => finish(&config_schema::run(&config.tool)),
        Some(Command::Key(key)) => finish(&key::run(&key.tool)),
        Some(Command::Plugin(plugin)) => watched(|| finish(&plugin::run(plugin.tool))),
    }
}

/// Runs `work` with child processes enabled and with the crash report.
fn watched(work: impl FnOnce() -> ExitCode) -> ExitCode {
    child::enable();
    // Dropped at the end: from then on, only `main` calls `exit`.
    let _watch = CrashWatch::start();
    work()
}

fn start(options: Serve) -> ExitCode {
    if let Err(sentence) = restart_outside_probe() {
        callgate_telemetry::start(options.log_format, None);
        return not_started(&sentence, ExitCode::FAILURE);
    }
    leave(watched(|| {
        callgate_telemetry::start(options.log_format, boot::log_filter(&options.source).as_deref());
        in_runtime(serve(options))
    }))
}

/// Ends the process without the exit code of the plugins that it mapped. Nobody waits for that, the
/// probe does not try it, and a crash in it would turn a success into a failure.
fn leave(code: ExitCode) -> ! {
    let _ = io::stdout().flush();
    exit_at_once(u8::from(code != ExitCode::SUCCESS))
}

/// Writes the last line of a failed start, in the log's format.
fn not_started(why: &str, code: ExitCode) -> ExitCode {
    callgate_telemetry::complain(Level::ERROR, &format!("not started: {why}"));
    callgate_telemetry::flush(LOG_PATIENCE, LAST_LINES);
    code
}

/// Reports an error in the command line; in the log's format if a start was requested.
fn misread(error: &clap::Error, line: &[OsString]) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if !error.use_stderr() {
        // `--help`, `--version`.
        return error.print().map_or(ExitCode::FAILURE, |()| code);
    }
    let misread = Misread::of(error);
    callgate_telemetry::start(cli::log_format_of_unread(line), None);
    if callgate_telemetry::is_json() {
        return not_started(&misread.sentence, code);
    }
    let _ = writeln!(io::stderr(), "{}", misread.whole);
    code
}

/// Reports all problems.
fn check(options: &Check) -> ExitCode {
    if let Err(error) = restart_as_probe() {
        return complain(&format!(
            "error: cannot start itself again to probe callbacks: {error}; is /proc mounted?"
        ));
    }
    let as_log = options.serve.log_format == Some(LogFormat::Json);
    leave(watched(|| match boot::check(options) {
        report if options.json => {
            let printed = print(&report.json());
            if report.passed() { printed } else { ExitCode::FAILURE }
        }
        report if as_log => {
            callgate_telemetry::start(options.serve.log_format, None);
            report
                .lines()
                .iter()
                .for_each(|(level, line)| callgate_telemetry::complain(*level, line));
            callgate_telemetry::flush(LOG_PATIENCE, LAST_LINES);
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        report if report.passed() => print(&report.to_string()),
        report => complain(&report.to_string()),
    }))
}

/// Restarts this program as a probe process, unless it is one: `check` runs hooks on made-up calls,
/// which a callback such as the audit log must not record.
fn restart_as_probe() -> io::Result<()> {
    if is_probe() {
        return Ok(());
    }
    Err(itself()?.env(PROBE_VARIABLE, "1").exec())
}

/// Restarts this program without the probe's variable, if it is set: a callback of a serving
/// gateway must not believe that it is being probed.
fn restart_outside_probe() -> Result<(), String> {
    if !is_probe() {
        return Ok(());
    }
    let error = match itself() {
        Ok(mut anew) => anew.env_remove(PROBE_VARIABLE).exec(),
        Err(error) => error,
    };
    Err(format!("cannot start itself again without `{PROBE_VARIABLE}`: {error}; unset it"))
}

/// This program with the same arguments. Without `/proc`, it is found by the name it was started
/// with.
fn itself() -> io::Result<process::Command> {
    let mut arguments = env::args_os();
    let started_by = arguments.next();
    let program = env::current_exe().or_else(|error| started_by.map(Into::into).ok_or(error))?;
    let mut command = process::Command::new(program);
    command.args(arguments);
    Ok(command)
}

async fn serve(options: Serve) -> ExitCode {
    // Set up before everything else, so that an early signal shuts down gracefully, too.
    let (Ok(mut term), Ok(mut int)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        callgate_telemetry::complain(Level::ERROR, "not started: cannot listen for signals");
        return ExitCode::FAILURE;
    };
    let signals = ReloadSignals::install();
    descriptors::raise();
    let ready = match boot::ready(&options).await {
        Ok(ready) => ready,
        Err(error) => {
            error
                .lines()
                .iter()
                .for_each(|(level, line)| callgate_telemetry::complain(*level, line));
            return ExitCode::FAILURE;
        }
    };
    let reloads = ready.reloads();
    signals.forward(Arc::clone(&reloads));
    let (asks, stop) = Stop::new();
    tokio::spawn(async move {
        while !asks.is_closed() {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            let _ = asks.send(());
        }
    });
    let whole = ready.serve(stop).await;
    if reloads.running().is_some() {
        callgate_telemetry::flush(LOG_PATIENCE, LAST_LINES);
        exit_at_once(u8::from(!whole));
    }
    if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Handles reload signals: SIGHUP reloads. Two other signals, with which some servers reload or
/// reopen their log, only cause a log line, at most once a second; by default each would kill the
/// process. Installed before the start; an early SIGHUP reloads once the gateway serves.
struct ReloadSignals {
    hangup: Option<Signal>,
}

impl ReloadSignals {
    fn install() -> Self {
        for (kind, name) in
            [(SignalKind::user_defined1(), "SIGUSR1"), (SignalKind::user_defined2(), "SIGUSR2")]
        {
            let Ok(mut signals) = signal(kind) else { continue };
            tokio::spawn(async move {
                let throttle = LogThrottle::default();
                while signals.recv().await.is_some() {
                    if throttle.admit().is_some() {
                        tracing::warn!(
                            target: "callgate",
                            signal = name,
                            "{name} changes nothing: the log is standard error; SIGHUP reloads the \
                             config"
                        );
                    }
                }
            });
        }
        // A write beyond the limit of a file's size then fails, and does not end the process.
        let _ = signal(SignalKind::from_raw(XFSZ.as_raw()));
        Self { hangup: signal(SignalKind::hangup()).ok() }
    }

    /// Turns every SIGHUP into a reload request.
    fn forward(self, reloads: Arc<Reloads>) {
        let Some(mut hangup) = self.hangup else { return };
        tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                if let Err(error) = reloads.ask("SIGHUP") {
                    tracing::warn!(target: "callgate", "SIGHUP reloads nothing: {error}");
                }
            }
        });
    }
}

/// Calls run on the workers' own runtimes; this runtime accepts connections, waits for signals, and
/// runs blocking work.
fn in_runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(64).build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            callgate_telemetry::flush(LOG_PATIENCE, LAST_LINES);
            // A callback that never ends must not keep the process alive.
            runtime.shutdown_background();
            code
        }
        Err(error) => not_started(&format!("cannot start the runtime: {error}"), ExitCode::FAILURE),
    }
}

fn print(text: &str) -> ExitCode {
    // A reader that closed the pipe wants no more output.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}

fn finish(finished: &plugin::Finished) -> ExitCode {
    let _ = std::io::stdout().write_all(finished.text.as_bytes());
    let _ = std::io::stderr().write_all(finished.complaint.as_bytes());
    ExitCode::from(finished.code)
}

fn complain(text: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{text}");
    ExitCode::FAILURE
}
