//! Writes records into a folder, one file for each call, on a thread of its own.

use callgate_config::RecordTo;
use serde::Serialize;
use serde_json::Value;
use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
    time::Duration,
};

/// The most calls and bytes that wait for the writer.
const MOST_WAITING: usize = 256;
const MOST_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Makes the JSON of a record; runs on the writer's thread.
type MakeJson = Box<dyn FnOnce() -> Value + Send>;

enum Job {
    Write { make: MakeJson, size: usize },
    Flush(Sender<()>),
}

/// The figures of an entry's record.
#[derive(Clone, Debug, Serialize)]
pub struct RecordReport {
    /// The folder.
    pub dir: String,
    /// Calls that were written.
    pub written: u64,
    /// Calls that were left out because the writer was busy.
    pub dropped: u64,
    /// Calls that could not be written.
    pub failed: u64,
    /// Whether a bound is reached, so that nothing more is recorded.
    pub full: bool,
}

/// The way to the writer, which the first record starts. It ends with the folder.
#[derive(Default)]
pub(super) struct Folder {
    /// `None` if no thread could be started.
    jobs: OnceLock<Option<SyncSender<Job>>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    full: AtomicBool,
    waiting_bytes: AtomicUsize,
}

impl Folder {
    pub(super) fn is_full(&self) -> bool {
        self.counts.full.load(Relaxed)
    }

    /// Hands a record over, unless too many are waiting. Never blocks.
    pub(super) fn submit(&self, callback: &Arc<str>, to: &RecordTo, size: usize, make: MakeJson) {
        let jobs = self.jobs.get_or_init(|| start(callback, to, &self.counts));
        let waiting = self.counts.waiting_bytes.fetch_add(size, Relaxed) + size;
        let fits = waiting <= MOST_WAITING_BYTES;
        let taken = |jobs: &SyncSender<Job>| jobs.try_send(Job::Write { make, size }).is_ok();
        if !(fits && jobs.as_ref().is_some_and(taken)) {
            self.counts.waiting_bytes.fetch_sub(size, Relaxed);
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn flush(&self, limit: Duration) {
        let Some(Some(jobs)) = self.jobs.get() else { return };
        let (done, wait) = channel();
        if jobs.try_send(Job::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }

    pub(super) fn report(&self, to: &RecordTo) -> RecordReport {
        RecordReport {
            dir: to.dir.display().to_string(),
            written: self.counts.written.load(Relaxed),
            dropped: self.counts.dropped.load(Relaxed),
            failed: self.counts.failed.load(Relaxed),
            full: self.is_full(),
        }
    }
}

fn start(callback: &Arc<str>, to: &RecordTo, counts: &Arc<Counts>) -> Option<SyncSender<Job>> {
    let (sender, jobs) = sync_channel(MOST_WAITING);
    let writer = Writer {
        callback: Arc::clone(callback),
        to: to.clone(),
        counts: Arc::clone(counts),
        kept: (0, 0),
        warned: false,
        number: 0,
    };
    let thread = thread::Builder::new().name("record".to_owned());
    match thread.spawn(move || writer.run(&jobs)) {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::warn!(
                target: "callgate::callback", { callback.name = &**callback },
                "no thread could be started to record `{callback}`: {error}; no call is recorded"
            );
            None
        }
    }
}

struct Writer {
    callback: Arc<str>,
    to: RecordTo,
    counts: Arc<Counts>,
    /// The calls and bytes in the folder.
    kept: (u64, u64),
    /// The latest failure was logged, and nothing was written since.
    warned: bool,
    number: u64,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        self.kept = present(&self.to.dir);
        for job in jobs {
            match job {
                Job::Flush(done) => drop(done.send(())),
                Job::Write { make, size } => {
                    if !self.counts.full.load(Relaxed) {
                        self.keep(&make());
                    }
                    self.counts.waiting_bytes.fetch_sub(size, Relaxed);
                }
            }
        }
    }

    fn keep(&mut self, record: &Value) {
        let mut text = record.to_string();
        text.push('\n');
        let length = text.len() as u64;
        let (calls, bytes) = self.kept;
        if calls + 1 > self.to.calls || bytes + length > self.to.bytes {
            self.is_full_now();
            return;
        }
        let time = record["unix_ms"].as_u64().unwrap_or_default();
        self.number += 1;
        let entry = file_name(&self.callback);
        let name = format!("{time:013}-{:06}-{entry}.json", self.number);
        match write(&self.to.dir, &name, text.as_bytes()) {
            Ok(()) => {
                self.kept = (calls + 1, bytes + length);
                self.warned = false;
                self.counts.written.fetch_add(1, Relaxed);
            }
            Err(error) => self.failed(&error),
        }
        if self.kept.0 == self.to.calls {
            self.is_full_now();
        }
    }

    fn is_full_now(&self) {
        let (calls, bytes) = self.kept;
        self.counts.full.store(true, Relaxed);
        tracing::info!(
            target: "callgate::callback", { calls, bytes, callback.name = &*self.callback },
            "the record of callback `{}` in `{}` is full with {calls} calls; no further call \
             is recorded",
            self.callback, self.to.dir.display()
        );
    }

    fn failed(&mut self, error: &io::Error) {
        self.counts.failed.fetch_add(1, Relaxed);
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(
                target: "callgate::callback", { callback.name = &*self.callback },
                "a call of callback `{}` cannot be recorded in `{}`: {error}; calls go on",
                self.callback, self.to.dir.display()
            );
        }
    }
}

/// The calls and bytes that a folder has already.
fn present(dir: &Path) -> (u64, u64) {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let files = files.filter(|file| file.path().extension().is_some_and(|it| it == "json"));
    let sizes = files.map(|file| file.metadata().map_or(0, |metadata| metadata.len()));
    sizes.fold((0, 0), |(calls, bytes), size| (calls + 1, bytes + size))
}

/// Writes a file that is complete as soon as it has its name. Only the owner may read it.
fn write(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let part = dir.join(format!(".{name}.part"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    let written = file.write_all(content).and_then(|()| fs::rename(&part, dir.join(name)));
    written.inspect_err(|_| drop(fs::remove_file(&part)))
}

fn file_name(entry: &str) -> String {
    let legal = |char: char| if char.is_ascii_alphanumeric() { char } else { '_' };
    entry.chars().map(legal).take(64).collect()
}
