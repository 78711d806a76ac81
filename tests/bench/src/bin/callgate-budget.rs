//! `callgate-budget`: counts instructions and allocations for each call and compares them with the
//! record. The library does the work; this file has the runtime and the exit status.

use callgate_bench::{
    budget::{self, Outcome, cli::Options},
    signals::{until_interrupted, with_causes},
};
use clap::Parser;
use std::{error::Error, io::Write, process::ExitCode};

const GROWN: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    match count_and_print(&Options::parse()) {
        Ok(outcome) if !outcome.kept() => ExitCode::from(GROWN),
        Ok(outcome) if outcome.recorded() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        Err(error) => {
            let text = with_causes(error.as_ref());
            let _ = writeln!(std::io::stderr(), "nothing compared: {text}");
            ExitCode::from(FAILED)
        }
    }
}

fn count_and_print(options: &Options) -> Result<Outcome, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(until_interrupted(budget::run(options)))?;
    write!(std::io::stdout(), "{outcome}")?;
    Ok(outcome)
}
