//! The record of a run, from which the next start learns that it crashed.
//!
//! Each process keeps one small file, locked while it lives. While a plugin is loaded, the file
//! names it; a crash adds a line (written by `loader::crash_signals`); an orderly end removes the
//! file. So an unlocked file belongs to a run that died. The lock ends with the process, whatever
//! its process id and container.

use super::{cache::CacheFolder, inspect::Inspected, loader::record_into};
use callgate_config::regular_file;
use callgate_telemetry::one_line;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
};
use thiserror::Error;

/// The record of this run.
#[derive(Debug)]
pub(super) struct CrashJournal {
    cache: CacheFolder,
    name: String,
    file: File,
    boot: String,
}

/// A plugin whose loading killed an earlier run.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "expected a plugin that can be loaded, found that an earlier start ended{} {step}, with this very file",
    ended.as_ref().map(|by| format!(" by {by}")).unwrap_or_default()
)]
pub(super) struct Suspect {
    sha256: String,
    step: String,
    /// The signal's name, or `exit`; `None` if unknown.
    ended: Option<String>,
}

impl Suspect {
    pub(super) fn is(&self, inspected: &Inspected) -> bool {
        self.sha256 == hex(&inspected.sha256)
    }

    pub(super) fn remedy() -> String {
        "replace the file, start with `--retry` to try it once more, or with `--safe-mode` to start without callbacks"
            .to_owned()
    }
}

/// The end of an earlier run that was serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Crash(String);

/// Stands for a crash line that the run had no time to write.
const KILLED: &str = "killed";

impl Crash {
    /// The crash in one sentence.
    pub(super) fn sentence(&self) -> String {
        if self.0 == KILLED {
            return "the last run was killed (SIGKILL, or by the system for lack of memory): calls \
                    that ran then had no end, and callbacks got no last hook"
                .to_owned();
        }
        let mut parts = self.0.split('\t');
        let mut text = format!("the last run ended by {}", parts.next().unwrap_or_default());
        if let (Some(callback), Some(place)) = (parts.next(), parts.next()) {
            let _ = write!(text, " in callback `{callback}`, {place}");
        } else {
            text.push_str(" outside of every hook");
        }
        if let Some(call) = parts.next() {
            let _ = write!(text, ", call {call}");
        }
        one_line(&text).into_owned()
    }
}

/// The records of earlier runs with the same config.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PreviousRuns {
    pub(super) suspects: Vec<Suspect>,
    pub(super) crashes: Vec<Crash>,
    suspect_files: Vec<String>,
    crash_files: Vec<String>,
}

impl PreviousRuns {
    pub(super) fn read(cache: &CacheFolder, config: &Path) -> Self {
        let mut previous = Self::default();
        let mut files = cache.files(&prefix(config));
        files.sort_by_key(|(_, written)| *written);
        for (name, _) in files {
            let Some(text) = unlocked_journal(&cache.path(&name)) else { continue };
            match parse(&text, &boot()) {
                Some(Leftover::Suspect(suspect)) => {
                    previous.suspects.push(suspect);
                    previous.suspect_files.push(name);
                }
                Some(Leftover::Crash(crash)) => {
                    previous.crashes.push(crash);
                    previous.crash_files.push(name);
                }
                None => cache.remove(&name),
            }
        }
        previous
    }

    /// Removes crashes from the records, so that each is reported once.
    pub(super) fn forget_crashes(&mut self, cache: &CacheFolder) {
        self.crash_files.drain(..).for_each(|name| cache.remove(&name));
    }

    /// Ignores suspects in this start; the next start sees them again. They stay suspects until a
    /// start succeeds with other files, or the operator retries them.
    pub(super) fn pass_over_suspects(&mut self) {
        self.suspects.clear();
        self.suspect_files.clear();
    }

    pub(super) fn forget_suspects(&mut self, cache: &CacheFolder) {
        self.suspects.clear();
        self.suspect_files.drain(..).for_each(|name| cache.remove(&name));
    }
}

impl CrashJournal {
    /// Begins a run with this config.
    ///
    /// # Errors
    /// If the file cannot be created or locked.
    pub(super) fn begin(cache: CacheFolder, config: &Path) -> io::Result<Self> {
        let id = fastrand::u64(..);
        let name = format!("{}{}-{id:016x}", prefix(config), std::process::id());
        let path = cache.path(&name);
        let options = |append| {
            let mut options = File::options();
            options.create(true).append(append).write(true).mode(0o600);
            options
        };
        let file = options(false).open(&path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        record_into(options(true).open(&path)?);
        let record = Self { cache, name, file, boot: boot() };
        record.loaded();
        Ok(record)
    }

    /// Records the plugin that is about to be loaded, and the step.
    pub(super) fn loading(&self, inspected: &Inspected, step: &str) {
        let (boot, sha256) = (&self.boot, hex(&inspected.sha256));
        let (name, file) = (&inspected.callback.name, inspected.file.display().to_string());
        let plugin = format!("{}\t{}", one_line(name), one_line(&file));
        self.write(&format!("boot\t{boot}\nloading\t{sha256}\t{step}\t{plugin}\n"));
    }

    /// Records that no plugin is being loaded.
    pub(super) fn loaded(&self) {
        self.write(&format!("boot\t{}\n", self.boot));
    }

    /// Records that the gateway serves: if the run then ends without a crash line, it was killed.
    pub(super) fn serving(&self) {
        self.write(&format!("boot\t{}\nserving\t{}\n", self.boot, std::process::id()));
    }

    /// Removes the record.
    pub(super) fn remove(&self) {
        self.cache.remove(&self.name);
    }

    fn write(&self, text: &str) {
        let written = self.file.write_all_at(text.as_bytes(), 0);
        let written = written.and_then(|()| self.file.set_len(text.len() as u64));
        if let Err(error) = written {
            tracing::debug!(
                target: "callgate::callbacks::record",
                "the run's record is not written: {error}"
            );
        }
    }
}

/// An orderly end removes the record.
impl Drop for CrashJournal {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The meaning of a record left behind.
enum Leftover {
    Suspect(Suspect),
    Crash(Crash),
}

fn parse(text: &str, boot: &str) -> Option<Leftover> {
    let of = |kind: &str| {
        text.lines().find_map(|line| line.strip_prefix(kind)?.strip_prefix('\t').map(str::to_owned))
    };
    let crash = of("crash");
    // When the machine goes down, all processes die, so no plugin is to blame.
    if crash.is_none() && of("boot").is_none_or(|then| then != boot) {
        return None;
    }
    let Some(loading) = of("loading") else {
        let killed = of("serving").map(|_| KILLED.to_owned());
        return crash.or(killed).map(|words| Leftover::Crash(Crash(words)));
    };
    // The name and file follow for people who read the record.
    let mut parts = loading.split('\t');
    let (sha256, step) = (parts.next()?, parts.next()?);
    let ended = crash.and_then(|crash| crash.split('\t').next().map(str::to_owned));
    Some(Leftover::Suspect(Suspect { sha256: sha256.to_owned(), step: step.to_owned(), ended }))
}

/// The content of a record that no living process holds.
fn unlocked_journal(path: &Path) -> Option<String> {
    let (mut file, _) = regular_file::open(path).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    let mut bytes = Vec::new();
    file.by_ref().take(64 << 10).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Each config has its own records, because several gateways may share the folder.
fn prefix(config: &Path) -> String {
    format!("run-{}-", config_id(config))
}

/// Names a config in the names of files: the first digits of its path's SHA-256.
#[must_use]
pub fn config_id(config: &Path) -> String {
    let path = std::path::absolute(config).unwrap_or_else(|_| config.to_owned());
    let mut hash = hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()).into());
    hash.truncate(16);
    hash
}

/// An id that changes when the machine boots.
fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim().to_owned()
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        CacheFolder, Crash, CrashJournal, Leftover, PreviousRuns, Suspect, boot, parse, prefix,
    };
    use std::{fs, path::Path};

    #[test]
    fn a_record_shows_how_its_run_ended() {
        let suspect = |text: &str| match parse(text, "b1") {
            Some(Leftover::Suspect(suspect)) => Some(suspect.ended),
            _ => None,
        };
        let loading = "boot\tb1\nloading\tabc\twhile being loaded\tx\t/x.so\n";
        assert_eq!(suspect(loading), Some(None));
        assert_eq!(
            suspect(&format!("{loading}crash\tSIGBUS\tx\ty\n")),
            Some(Some("SIGBUS".into()))
        );
        assert_eq!(suspect(&loading.replace("b1", "b0")), None, "the machine went down");
        for nothing in ["", "boot\tb1\n", "garbage", "loading\n", "loading\tno step\n"] {
            assert!(parse(nothing, "b1").is_none(), "{nothing}");
        }
        let Some(Leftover::Crash(crash)) =
            parse("boot\tb1\ncrash\tSIGSEGV\tx\ton_llm_end\tc1\n", "b1")
        else {
            panic!("no crash")
        };
        assert_eq!(
            crash.sentence(),
            "the last run ended by SIGSEGV in callback `x`, on_llm_end, call c1"
        );
        let Some(Leftover::Crash(killed)) = parse("boot\tb1\nserving\t7\n", "b1") else {
            panic!("not killed")
        };
        assert!(killed.sentence().starts_with("the last run was killed"));
        assert!(parse("boot\tb0\nserving\t7\n", "b1").is_none(), "the machine went down");
        let bare = Crash("exit".to_owned()).sentence();
        assert_eq!(bare, "the last run ended by exit outside of every hook");
    }

    #[test]
    fn records_of_live_runs_stay_and_crashes_are_reported_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheFolder::open(Some(folder.path())).unwrap();
        let config = Path::new("/nowhere/config.yaml");
        let record = CrashJournal::begin(cache.clone(), config).unwrap();
        assert_eq!(PreviousRuns::read(&cache, config), PreviousRuns::default());
        let left = |name: &str, text: &str| {
            fs::write(folder.path().join(format!("{}{name}", prefix(config))), text).unwrap();
        };
        left("1", &format!("boot\t{}\nloading\tabc\tx\n", boot()));
        left("2", "boot\tb\ncrash\tSIGSEGV\n");
        left("3", "boot\tb\n");
        let mut previous = PreviousRuns::read(&cache, config);
        assert_eq!((previous.suspects.len(), previous.crashes.len()), (1, 1));
        assert_eq!(cache.files("run-").len(), 3, "nothing is to be said of the third");
        previous.forget_crashes(&cache);
        assert_eq!(PreviousRuns::read(&cache, config).crashes, []);
        previous.forget_suspects(&cache);
        drop(record);
        assert_eq!(cache.files("run-").len(), 0);
        assert_eq!(
            PreviousRuns::read(&cache, Path::new("/nowhere/other.yaml")),
            PreviousRuns::default()
        );
    }

    #[test]
    fn what_is_suspected_says_so() {
        let ended = Some("SIGSEGV".to_owned());
        let suspect = Suspect { sha256: String::new(), step: "while being loaded".into(), ended };
        assert!(suspect.to_string().contains("ended by SIGSEGV while being loaded, with this"));
    }
}
