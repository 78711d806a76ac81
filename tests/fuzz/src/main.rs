//! `callgate-fuzz`: searches for inputs that break a parser. The library does the work; this file
//! has the arguments, the output and the exit status.

use callgate_fuzz::{
    corpus,
    engine::{self, Budget, Finding},
    targets::{TARGETS, Target},
};
use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    process::{self, ExitCode},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

const USAGE: &str = "\
callgate-fuzz                        every target; FUZZ_TARGET=name for one
callgate-fuzz replay TARGET FILE...  one input again
  FUZZ_SECONDS  for all targets together (60)
  FUZZ_RUNS     mutations of each target, in place of seconds
  FUZZ_SEED     the same seed tries the same inputs (chosen at random)
";

/// An input that takes longer is a finding.
const STUCK: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match &words[..] {
        [] => fuzz(),
        ["replay", target, files @ ..] if !files.is_empty() => replay(target, files),
        _ => Err(io::Error::other(USAGE)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&error.to_string());
            ExitCode::from(2)
        }
    }
}

fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn number(name: &str) -> io::Result<Option<u64>> {
    let Ok(text) = env::var(name) else { return Ok(None) };
    let wrong = |_| io::Error::other(format!("{name}: expected a number, found `{text}`"));
    text.parse().map(Some).map_err(wrong)
}

fn named(name: &str) -> io::Result<&'static Target> {
    let names = || TARGETS.iter().map(|it| it.name).collect::<Vec<_>>().join(", ");
    let unknown = || io::Error::other(format!("expected one of {}, found `{name}`", names()));
    TARGETS.iter().find(|it| it.name == name).ok_or_else(unknown)
}

/// Returns whether there was no finding.
fn fuzz() -> io::Result<bool> {
    let targets: Vec<&Target> = match env::var("FUZZ_TARGET") {
        Ok(name) if !name.is_empty() => vec![named(&name)?],
        _ => TARGETS.iter().collect(),
    };
    let seed = number("FUZZ_SEED")?.unwrap_or_else(|| process::id().into());
    let (runs, seconds) = (number("FUZZ_RUNS")?, number("FUZZ_SECONDS")?.unwrap_or(60));
    let each = Duration::from_secs(seconds) / u32::try_from(targets.len()).unwrap_or(1).max(1);
    say(&format!("FUZZ_SEED={seed}"));
    engine::hush_panics();
    let mut clean = true;
    for target in targets {
        clean &= fuzz_one(target, seed, runs, each)?;
    }
    Ok(clean)
}

fn fuzz_one(target: &Target, seed: u64, runs: Option<u64>, each: Duration) -> io::Result<bool> {
    let began = Instant::now();
    let budget = runs.map_or(Budget::Until(began + each), Budget::Runs);
    let mut watch = Watch::start(target.name)?;
    let outcome = engine::run(target, seed, budget, |input| watch.input(input))?;
    watch.end()?;
    let per_second = outcome.runs as f64 / began.elapsed().as_secs_f64().max(0.001);
    say(&format!("{:14} {:>9} runs, {per_second:>8.0} a second", target.name, outcome.runs));
    match outcome.finding {
        None => Ok(true),
        Some(finding) => report(target, &finding).map(|()| false),
    }
}

fn report(target: &Target, finding: &Finding) -> io::Result<()> {
    let path = corpus::keep(target.name, &finding.input)?;
    let shown = finding.input.get(..400).unwrap_or(&finding.input).escape_ascii();
    let file = path.display();
    say(&format!("  FOUND: {}\n  input: {shown}", finding.message));
    say(&format!(
        "  again: cargo run --profile fuzz -p callgate-fuzz -- replay {} {file}",
        target.name
    ));
    Ok(())
}

fn replay(name: &str, files: &[&str]) -> io::Result<bool> {
    let target = named(name)?;
    engine::hush_panics();
    let mut clean = true;
    for file in files {
        let outcome = engine::try_input(target, &fs::read(file)?);
        clean &= outcome.is_ok();
        say(&format!("{file}: {}", outcome.err().unwrap_or_else(|| "nothing found".to_owned())));
    }
    Ok(clean)
}

/// Stores the current input in a file, in case it ends the process, and notices an input that
/// hangs.
struct Watch {
    name: &'static str,
    file: fs::File,
}

/// The number of inputs begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

impl Watch {
    fn start(name: &'static str) -> io::Result<Self> {
        let folder = corpus::found_folder();
        fs::create_dir_all(&folder)?;
        let file = fs::File::create(folder.join(format!("{name}-current")))?;
        static WATCHER: std::sync::Once = std::sync::Once::new();
        WATCHER.call_once(|| drop(thread::spawn(notice_stuck)));
        Ok(Self { name, file })
    }

    fn input(&mut self, input: &[u8]) {
        BEGUN.fetch_add(1, Ordering::Relaxed);
        // Without the file only the input of a crash is lost.
        let _ = self.file.set_len(input.len() as u64);
        let _ = self.file.write_all_at(input, 0);
    }

    fn end(self) -> io::Result<()> {
        fs::remove_file(corpus::found_folder().join(format!("{}-current", self.name)))
    }
}

fn notice_stuck() {
    loop {
        let before = BEGUN.load(Ordering::Relaxed);
        thread::sleep(STUCK);
        if BEGUN.load(Ordering::Relaxed) == before {
            let folder = corpus::found_folder();
            say(&format!("FOUND: an input that does not end: {}/*-current", folder.display()));
            process::exit(1);
        }
    }
}
