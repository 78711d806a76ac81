//! Writes a dying thread's note to stderr and to the run's record: the handlers for signals and for
//! `exit`.
//!
//! Exit status and core dump are unchanged, and Rust's own report of a stack overflow still
//! appears. At the next start `crash_journal` reads what was written.

#![expect(unsafe_code, reason = "signal handlers, and reading a note in one")]

use super::whereabouts;
use libc::{STDERR_FILENO, siginfo_t};
use std::{
    ffi::{c_int, c_void},
    fs::File,
    mem::zeroed,
    os::fd::AsRawFd,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The signals of crashes in native code.
const SIGNALS: [(c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
];

/// The name of a signal; its number if it is not one of a crash.
pub fn signal_name(signal: c_int) -> String {
    let named = SIGNALS.iter().find(|(number, _)| *number == signal).map(|(_, name)| *name);
    let named = named.or(match signal {
        libc::SIGKILL => Some("SIGKILL"),
        libc::SIGTERM => Some("SIGTERM"),
        libc::SIGSYS => Some("SIGSYS"),
        libc::SIGTRAP => Some("SIGTRAP"),
        libc::SIGXCPU => Some("SIGXCPU"),
        libc::SIGPIPE => Some("SIGPIPE"),
        _ => None,
    });
    named.map_or_else(|| format!("signal {signal}"), str::to_owned)
}

/// The earlier action for each of [`SIGNALS`].
static PREVIOUS: [OnceLock<libc::sigaction>; SIGNALS.len()] = [const { OnceLock::new() }; 5];
static RECORD: OnceLock<File> = OnceLock::new();
static WATCHING: AtomicBool = AtomicBool::new(false);
static TOLD: AtomicBool = AtomicBool::new(false);

/// While it lives, crashes are attributed. Drop it before an orderly end.
#[derive(Debug)]
#[must_use = "dropping it ends the watch"]
pub struct CrashWatch(());

impl CrashWatch {
    /// Starts watching; call it once in a process.
    pub fn start() -> Self {
        for ((signal, _), previous) in SIGNALS.iter().zip(&PREVIOUS) {
            // SAFETY: zeros are a valid `sigaction`, and the handler does only what is allowed in a
            // signal handler: see `on_signal`.
            unsafe {
                let (mut new, mut old): (libc::sigaction, libc::sigaction) = (zeroed(), zeroed());
                new.sa_sigaction = on_signal as *const () as usize;
                // The thread's own stack may have overflowed.
                new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&raw mut new.sa_mask);
                if libc::sigaction(*signal, ptr::null(), &raw mut old) == 0 {
                    let _ = previous.set(old);
                    libc::sigaction(*signal, &raw const new, ptr::null_mut());
                }
            }
        }
        if !WATCHING.swap(true, Ordering::AcqRel) {
            // SAFETY: a function without arguments that does not unwind.
            unsafe { libc::atexit(on_exit) };
        }
        Self(())
    }
}

impl Drop for CrashWatch {
    fn drop(&mut self) {
        WATCHING.store(false, Ordering::Release);
    }
}

/// Sets the file to which a crash is written for the next start.
pub(crate) fn record_into(file: File) {
    let _ = RECORD.set(file);
}

/// This and all functions it calls use only what is safe in a signal handler: atomic loads, reads
/// of a thread-local without a destructor, waking a futex and short sleeps (`flush`), `poll`,
/// `writev`, `sigaction`, `raise`.
extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let index = SIGNALS.iter().position(|(number, _)| *number == signal).unwrap_or_default();
    if !TOLD.swap(true, Ordering::AcqRel) {
        report_crash(SIGNALS.get(index).map_or("a signal", |(_, name)| name));
    }
    // SAFETY: the system passes a valid `info`. The earlier handler is called as it was registered:
    // with or without `SA_SIGINFO`.
    unsafe {
        match PREVIOUS.get(index).and_then(OnceLock::get) {
            Some(old) if ![libc::SIG_DFL, libc::SIG_IGN].contains(&old.sa_sigaction) => {
                if old.sa_flags & libc::SA_SIGINFO == 0 {
                    let handler: extern "C" fn(c_int) = std::mem::transmute(old.sa_sigaction);
                    handler(signal);
                } else {
                    let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        std::mem::transmute(old.sa_sigaction);
                    handler(signal, info, context);
                }
            }
            _ => by_default(signal),
        }
        // A fault happens again after the return and ends the process at the same place. A signal
        // that was sent or raised does not.
        if (*info).si_code <= 0 {
            by_default(signal);
            libc::raise(signal);
        }
    }
}

fn by_default(signal: c_int) {
    // SAFETY: as in `CrashWatch::start`; `SIG_DFL` is a valid handler.
    unsafe {
        let mut default: libc::sigaction = zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &raw const default, ptr::null_mut());
    }
}

/// Ends the process without running destructors. An ordinary exit takes the dynamic linker's lock,
/// which a plugin that hangs while it is loaded holds for ever.
pub fn exit_at_once(status: u8) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(status.into()) }
}

/// Runs when `exit` is called outside `main`, which only a plugin does; never a success.
extern "C" fn on_exit() {
    if WATCHING.load(Ordering::Acquire) && !TOLD.swap(true, Ordering::AcqRel) {
        report_crash("exit");
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(1) };
    }
}

/// Writes this thread's position to stderr and to the record. Nothing is formatted first, because a
/// signal handler's stack is small.
fn report_crash(what: &str) {
    // SAFETY: null, or a context that `enter` keeps alive on this very thread.
    let visit = unsafe { whereabouts::current().as_ref() };
    // SAFETY: this thread is there.
    let visit = visit.map(|visit| unsafe { visit.texts() });
    let record = RECORD.get().map(File::as_raw_fd);
    // First the log lines of earlier calls, which another thread writes.
    callgate_telemetry::flush(LINES_BEFORE, LINES_BEFORE);
    match visit {
        Some((callback, place, call)) => {
            let (comma, tab) = if call.is_empty() { ("", "") } else { (", call ", "\t") };
            let [begin, child] = ["callgate: ended by ", " in callback `"];
            write(STDERR_FILENO, [begin, what, child, callback, "`, ", place, comma, call, "\n"]);
            if let Some(record) = record {
                write(record, ["crash\t", what, "\t", callback, "\t", place, tab, call, "\n"]);
            }
        }
        None => {
            let outside = " outside of every hook, perhaps in a thread that a callback started\n";
            write(STDERR_FILENO, ["callgate: ended by ", what, outside]);
            if let Some(record) = record {
                write(record, ["crash\t", what, "\n"]);
            }
        }
    }
}

/// The time for the log to write the lines from before the crash.
const LINES_BEFORE: Duration = Duration::from_millis(200);

/// Writes in one piece where possible, and not at all if that would block.
fn write<const N: usize>(descriptor: c_int, texts: [&str; N]) {
    let mut ready = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one `pollfd`, which lives until it returns.
    if unsafe { libc::poll(&raw mut ready, 1, 0) } == 0 {
        return;
    }
    let parts = texts
        .map(|text| libc::iovec { iov_base: text.as_ptr().cast_mut().cast(), iov_len: text.len() });
    let count = c_int::try_from(N).unwrap_or_default();
    // SAFETY: `count` texts that live until it returns; they are only read. A failed write is
    // ignored.
    let _ = unsafe { libc::writev(descriptor, parts.as_ptr(), count) };
}

#[cfg(test)]
mod tests {
    use super::signal_name;
    use crate::loader::{crash_context::CrashContext, whereabouts::current};

    #[test]
    fn a_thread_is_where_it_was_when_a_visit_ends() {
        // SAFETY: constants.
        let [outer, inner] =
            ["outer", "inner"].map(|name| unsafe { CrashContext::new(name, "x", "") });
        outer.enter(|| {
            inner.enter(|| assert_eq!(current(), &raw const inner));
            let unwound = std::panic::catch_unwind(|| inner.enter(|| panic!("boom")));
            assert!(unwound.is_err());
            assert_eq!(current(), &raw const outer);
        });
        assert!(current().is_null());
    }

    #[test]
    fn signals_have_names() {
        assert_eq!((&*signal_name(11), &*signal_name(60)), ("SIGSEGV", "signal 60"));
    }
}
