//! `callgate-bench`: prints the benchmark's tables. Everything is in the library; here are the
//! runtime, the signals and the exit status.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use callgate_bench::cli::Options;
use callgate_bench::driver;
use callgate_bench::report::Report;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

const MISSED: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match measure_and_print(&Options::parse()) {
        Ok(report) if report.met() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(MISSED),
        Err(error) => {
            let mut text = format!("benchmark failed: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                text = format!("{text}: {inner}");
                cause = inner.source();
            }
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::from(FAILED)
        }
    }
}

fn measure_and_print(options: &Options) -> Result<Report, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(until_interrupted(options))?;
    write!(std::io::stdout(), "{report}")?;
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(report)
}

/// Returning, rather than dying, is what ends the processes that were started.
async fn until_interrupted(options: &Options) -> Result<Report, Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        report = driver::run(options) => Ok(report?),
        _ = terminate.recv() => Err("terminated".into()),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            Err("interrupted".into())
        }
    }
}
