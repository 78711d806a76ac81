//! Writes the lines on a separate thread.
//!
//! A write costs as much as a tenth of a small call, so lines wait up to [`GATHER`] for others; a
//! warning or an error wakes the writer at once. Only the writer waits for the log's reader. If a
//! signal such as SIGKILL ends the process, only the waiting lines are lost.

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

/// The longest time that a line waits for others.
const GATHER: Duration = Duration::from_millis(20);

/// A thread with this many waiting bytes wakes the writer.
const FULL: usize = 64 * 1024;

/// The most bytes of all threads that may wait for a reader.
const BOUND: usize = 8 << 20;

static QUEUE: Queue = Queue::new(BOUND);
static WRITER: OnceLock<Thread> = OnceLock::new();

/// The pending request to the writer.
static WANTED: AtomicU8 = AtomicU8::new(NOTHING);
const NOTHING: u8 = 0;
/// Lines wait, and others may join them.
const LINES: u8 = 1;
/// Lines have to be written at once.
const NOW: u8 = 2;

/// How often the writer began to take lines, and how often it finished writing them.
static BEGUN: AtomicU64 = AtomicU64::new(0);
static DONE: AtomicU64 = AtomicU64::new(0);

/// The number of bytes that the log's reader has taken.
static TAKEN: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static BUFFER: Arc<Mutex<Buffer>> = QUEUE.buffer();
    /// Whether this thread is making a line, and so has its buffer locked.
    static MAKING: Cell<bool> = const { Cell::new(false) };
    /// Lines made meanwhile (by a `Debug` that logs, or by a panic).
    static WITHIN: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The buffer for threads that are ending and have lost their own.
static LATE: OnceLock<Arc<Mutex<Buffer>>> = OnceLock::new();

/// Starts the writer. `note` makes the line that reports dropped lines.
pub(super) fn start(note: impl Fn(u64, &mut Vec<u8>) + Send + 'static) {
    if WRITER.get().is_some() {
        return;
    }
    let writer = thread::Builder::new().name("log".to_owned()).spawn(move || run(&note));
    // Without a writer thread, lines are written where they are made.
    if let Ok(writer) = writer {
        let _ = WRITER.set(writer.thread().clone());
    }
}

/// The number of lines dropped because they were not read in time, or could not be written.
pub fn dropped() -> u64 {
    QUEUE.dropped()
}

/// Adds the line that `make` writes. Never waits for the log's reader while the writer runs.
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
    // A thread that sees an older value here added its line before the writer took the buffer.
    if WANTED.load(Ordering::Relaxed) < wanted && WANTED.swap(wanted, Ordering::AcqRel) < wanted {
        writer.unpark();
    }
}

/// Marks that this thread makes a line; lines made meanwhile are added when it is dropped.
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

/// Waits until every line made so far is written. Gives up if the log's reader has taken nothing
/// for `patience`, or after `limit` in all, because a reader that hangs must not keep the process
/// alive. Called at the end of the process; safe in a signal handler.
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

/// The writer's loop.
fn run(note: &dyn Fn(u64, &mut Vec<u8>)) {
    let mut batch = Batch::default();
    let mut ending = Vec::new();
    let (mut told, mut torn) = (0, false);
    loop {
        wait();
        BEGUN.fetch_add(1, Ordering::AcqRel);
        QUEUE.take(&mut batch);
        // After the lines that had room, because the dropped ones came later.
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

/// Waits until there are lines and others had time to join them.
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
    // Before any line is taken, so that a later line makes a new request.
    WANTED.store(NOTHING, Ordering::Release);
}

/// A part of `bytes` for one write: whole lines if they fit, and small enough that [`flush`] sees a
/// slow reader's progress.
fn piece(bytes: &[u8]) -> &[u8] {
    const PIECE: usize = 32 * 1024;
    let Some(first) = bytes.get(..PIECE) else { return bytes };
    memchr::memrchr(b'\n', first).map_or(first, |end| &first[..=end])
}

/// Writes to standard error without the standard library's lock, which other threads may hold. The
/// error says whether the written text ends with a whole line.
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
            // Another process that shares the descriptor made it non-blocking.
            Err(Errno::AGAIN) => {
                let _ = poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], None);
            }
            // The error cannot be reported anywhere; calls go on.
            Err(_) => return Err(whole),
        }
    }
    Ok(())
}
