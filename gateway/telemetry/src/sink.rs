//! Lines on their way out: a thread of its own writes what the others made.
//!
//! A write costs as much as a tenth of a small call, so lines wait up to [`GATHER`] for others; a
//! warning or an error wakes the writer at once. Nobody but the writer ever waits for the reader of
//! the log. What a signal such as SIGKILL ends is at most what waited.

use super::queue::{Batch, Buffer, Queue};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use std::{
    cell::{Cell, RefCell},
    mem,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, Thread},
    time::{Duration, Instant, SystemTime},
};

/// How long a line may wait for others.
const GATHER: Duration = Duration::from_millis(20);

/// A thread that has this much waiting wakes the writer.
const FULL: usize = 64 * 1024;

/// How many bytes of all threads may wait for a reader.
const BOUND: usize = 8 << 20;

static QUEUE: Queue = Queue::new(BOUND);
static WRITER: OnceLock<Thread> = OnceLock::new();

/// What the writer is wanted for.
static WANTED: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 0;
/// Lines wait, and may wait for others.
const LINES: u8 = 1;
/// Lines are to be written at once.
const NOW: u8 = 2;

/// How often the writer began to take lines, and how often it was done with those it took.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

/// How many bytes the reader of the log has taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static BUFFER: Arc<Mutex<Buffer>> = QUEUE.buffer();
    /// Whether this thread makes a line and so has its buffer locked.
    static MAKING: Cell<bool> = const { Cell::new(false) };
    /// Lines made meanwhile (by a `Debug` that logs, or a panic's).
    static WITHIN: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// For threads that are ending and have no buffer any more.
static LATE: OnceLock<Arc<Mutex<Buffer>>> = OnceLock::new();

/// Starts the writer. `note` makes the line that says how many were dropped.
pub(super) fn start(note: impl Fn(u64, &mut Vec<u8>) + Send + 'static) {
    if WRITER.get().is_some() {
        return;
    }
    let writer = thread::Builder::new().name("log".to_owned()).spawn(move || run(&note));
    // Without a writer, lines are written where they are made.
    if let Ok(writer) = writer {
        let _ = WRITER.set(writer.thread().clone());
    }
}

/// How many lines were dropped because nobody read them, or could not be written.
pub fn dropped() -> u64 {
    QUEUE.dropped()
}

/// Adds the line that `make` writes. Never waits for the log's reader, once the writer runs.
pub(super) fn write(urgent: bool, make: impl FnOnce(SystemTime, &mut Vec<u8>)) {
    let Some(writer) = WRITER.get() else {
        let mut line = Vec::new();
        make(SystemTime::now(), &mut line);
        let _ = out(&line);
        return;
    };
    if MAKING.get() {
        let mut line = Vec::new();
        make(SystemTime::now(), &mut line);
        let _ = WITHIN.try_with(|within| within.borrow_mut().push(line));
        return;
    }
    let mut make = Some(make);
    let mut add = |buffer: &Arc<Mutex<Buffer>>| {
        let _making = Making::begin(buffer);
        make.take().map_or(0, |make| QUEUE.add(buffer, make))
    };
    let waiting = BUFFER.try_with(&mut add);
    let waiting = waiting.unwrap_or_else(|_| add(LATE.get_or_init(|| QUEUE.buffer())));
    let wanted = if urgent || waiting >= FULL { NOW } else { LINES };
    // Whoever sees an older value here added its line before the writer took the buffer.
    if WANTED.load(Ordering::Relaxed) < wanted && WANTED.swap(wanted, Ordering::AcqRel) < wanted {
        writer.unpark();
    }
}

/// While a thread makes a line; then come the lines that were made within it.
struct Making<'a>(&'a Mutex<Buffer>);

impl<'a> Making<'a> {
    fn begin(buffer: &'a Mutex<Buffer>) -> Self {
        MAKING.set(true);
        Self(buffer)
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        MAKING.set(false);
        let within = WITHIN.try_with(|within| match within.try_borrow_mut() {
            Ok(mut within) if !within.is_empty() => mem::take(&mut *within),
            _ => Vec::new(),
        });
        for line in within.unwrap_or_default() {
            QUEUE.add(self.0, |_, text| text.extend_from_slice(&line));
        }
    }
}

/// Waits until every line made so far is written. Gives up when the reader of the log has taken
/// nothing for `patience`, or after `limit` in all: a reader that hangs must not keep the process.
/// For the end of the process; a signal handler may call it.
pub fn flush(patience: Duration, limit: Duration) {
    let Some(writer) = WRITER.get() else { return };
    let own = BEGUN.load(Ordering::Acquire) + 1;
    let begun = Instant::now();
    let (mut taken, mut last) = (TAKEN.load(Ordering::Relaxed), begun);
    while DONE.load(Ordering::Acquire) < own && begun.elapsed() < limit {
        let now = TAKEN.load(Ordering::Relaxed);
        if now != taken {
            (taken, last) = (now, Instant::now());
        } else if last.elapsed() >= patience {
            return;
        }
        if WANTED.swap(NOW, Ordering::AcqRel) < NOW {
            writer.unpark();
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The writer's life.
fn run(note: &dyn Fn(u64, &mut Vec<u8>)) {
    let mut batch = Batch::default();
    let mut ending = Vec::new();
    let (mut told, mut torn) = (0, false);
    loop {
        wait();
        BEGUN.fetch_add(1, Ordering::AcqRel);
        QUEUE.take(&mut batch);
        // Behind the lines that had room: the dropped ones came after them.
        let dropped = QUEUE.dropped();
        ending.clear();
        if dropped > told {
            note(dropped - told, &mut ending);
        }
        if !batch.is_empty() || !ending.is_empty() {
            let begin: &[u8] = if torn { b"\n" } else { b"" };
            match out(begin).and_then(|()| out(batch.text())) {
                Err(whole) => {
                    torn |= !whole;
                    QUEUE.lost(batch.lines() as u64);
                }
                Ok(()) => match out(&ending) {
                    Ok(()) => (told, torn) = (dropped, false),
                    Err(whole) => torn = !whole,
                },
            }
            QUEUE.done(&mut batch);
        }
        DONE.store(BEGUN.load(Ordering::Acquire), Ordering::Release);
    }
}

/// Until there are lines, and others had the time to join them.
fn wait() {
    while WANTED.load(Ordering::Acquire) == NOTHING {
        thread::park();
    }
    let begun = Instant::now();
    while WANTED.load(Ordering::Acquire) < NOW
        && let Some(left) = GATHER.checked_sub(begun.elapsed())
    {
        thread::park_timeout(left);
    }
    // Before anything is taken: a line that comes later asks again.
    WANTED.store(NOTHING, Ordering::Release);
}

/// As much of `bytes` as is written at once: whole lines where they fit, and little enough that
/// [`flush`] sees a slow reader take them.
fn piece(bytes: &[u8]) -> &[u8] {
    const PIECE: usize = 32 * 1024;
    let Some(first) = bytes.get(..PIECE) else { return bytes };
    memchr::memrchr(b'\n', first).map_or(first, |end| &first[..=end])
}

/// Writes to standard error, past the standard library, whose lock others may wait for. The error
/// says whether what was written ends with a whole line.
fn out(mut bytes: &[u8]) -> Result<(), bool> {
    let stderr = rustix::stdio::stderr();
    let mut whole = true;
    while !bytes.is_empty() {
        match rustix::io::write(stderr, piece(bytes)) {
            Ok(0) => return Err(whole),
            Ok(written) => {
                TAKEN.fetch_add(written as u64, Ordering::Relaxed);
                whole = bytes.get(written - 1) == Some(&b'\n');
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(Errno::INTR) => {}
            // Whoever shares the descriptor made it so.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None);
            }
            // Nobody is left to tell; calls go on.
            Err(_) => return Err(whole),
        }
    }
    Ok(())
}
