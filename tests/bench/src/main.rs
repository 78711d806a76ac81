//! `callgate-bench`: prints the benchmark's tables. The library does the work; this file has the
//! runtime and the exit status.

use callgate_bench::{
    cli::Options,
    driver,
    report::Report,
    signals::{until_interrupted, with_causes},
};
use clap::Parser;
use std::{error::Error, io::Write, process::ExitCode};

const MISSED: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match measure_and_print(&Options::parse()) {
        Ok(report) if report.met() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(MISSED),
        Err(error) => {
            let text = with_causes(error.as_ref());
            let _ = writeln!(std::io::stderr(), "benchmark failed: {text}");
            ExitCode::from(FAILED)
        }
    }
}

fn measure_and_print(options: &Options) -> Result<Report, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(until_interrupted(driver::run(options)))?;
    write!(std::io::stdout(), "{report}")?;
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    Ok(report)
}
