//! Lines on their way out: gathered by the thread that wrote them, written together.
//!
//! A write costs as much as a tenth of a small call, so lines wait up to [`GATHER`] for others; no
//! lock is shared by all calls. A warning or an error goes out at once, with what waited before it:
//! what precedes a crash is not lost.

use std::{
    io::{self, Write as _},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Duration,
};

/// How long a line may wait.
const GATHER: Duration = Duration::from_millis(20);

/// A buffer that has this much goes out without waiting.
const FULL: usize = 64 * 1024;

type Buffer = Arc<Mutex<Vec<u8>>>;

/// Every thread's buffer. Locked when a thread writes its first line, and by the writer.
static BUFFERS: Mutex<Vec<Buffer>> = Mutex::new(Vec::new());
static WRITER: OnceLock<Thread> = OnceLock::new();
/// Set by the first line that waits; cleared by the writer before it looks.
static WAITING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static BUFFER: Buffer = {
        let buffer = Buffer::default();
        BUFFERS.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&buffer));
        buffer
    };
}

/// Starts the writer.
pub(super) fn start() {
    WRITER.get_or_init(|| {
        let writer = thread::Builder::new().name("log".to_owned()).spawn(|| {
            loop {
                while !WAITING.load(Ordering::Acquire) {
                    thread::park();
                }
                thread::sleep(GATHER);
                flush();
            }
        });
        // Without a writer there is one thread to wake that does nothing, and `flush` at the end.
        writer.map_or_else(|_| thread::current(), |writer| writer.thread().clone())
    });
}

/// Takes a line; `urgent` ones are out when this returns.
pub(super) fn write(line: &[u8], urgent: bool) {
    let taken = BUFFER.try_with(|buffer| {
        let mut waiting = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(line);
        if urgent || waiting.len() >= FULL {
            out(&mut waiting);
            return;
        }
        drop(waiting);
        if !WAITING.swap(true, Ordering::AcqRel)
            && let Some(writer) = WRITER.get()
        {
            writer.unpark();
        }
    });
    if taken.is_err() {
        // The thread is ending and has no buffer any more.
        let _ = io::stderr().write_all(line);
    }
}

/// Writes every line that waits.
fn flush() {
    WAITING.store(false, Ordering::Release);
    let mut buffers = BUFFERS.lock().unwrap_or_else(PoisonError::into_inner);
    for buffer in &*buffers {
        // Written after the lock is gone: a slow reader of the log holds up no call.
        let mut lines = {
            let mut waiting = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *waiting)
        };
        out(&mut lines);
    }
    buffers.retain(is_needed);
}

/// Whether a thread may still write to it, or has since it was last looked at: the last lines of a thread
/// that ends meanwhile go out next time.
fn is_needed(buffer: &Buffer) -> bool {
    Arc::strong_count(buffer) > 1
        || !buffer.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Writes out what waits, for the end: a reader that is stuck must not keep the process.
pub fn flush_within(limit: Duration) {
    let (done, flushed) = std::sync::mpsc::channel();
    let flusher = thread::Builder::new().spawn(move || {
        flush();
        let _ = done.send(());
    });
    if flusher.is_ok() {
        let _ = flushed.recv_timeout(limit);
    }
}

fn out(lines: &mut Vec<u8>) {
    if !lines.is_empty() {
        // Nobody is left to tell that the log cannot be written; calls go on.
        let _ = io::stderr().write_all(lines);
        lines.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_kept_while_it_has_a_thread_or_lines() {
        for (has_thread, lines, kept) in
            [(true, "", true), (true, "x", true), (false, "x", true), (false, "", false)]
        {
            let buffer = Buffer::new(Mutex::new(lines.into()));
            let thread = has_thread.then(|| Arc::clone(&buffer));
            assert_eq!(is_needed(&buffer), kept, "{thread:?} {lines:?}");
        }
    }
}
