//! The memory, threads and mapped libraries of a process during a run, read from `/proc` (Linux).

use std::{collections::BTreeSet, fs, io::Write as _};

/// The measurements during the warm-up, in which pools fill and allocators take memory that they
/// keep.
const WARM_UP: usize = 2;

const MAX_GROWTH_KIB: u64 = 4 * 1024;

/// Each client may be in a hook with its own thread, which ends when idle; a restart has a thread
/// for a moment.
const THREADS_MORE: u64 = crate::CLIENTS as u64 + 2;

#[derive(Debug, Clone, Copy)]
struct Vitals {
    calls: usize,
    resident_kib: u64,
    threads: u64,
    libraries: usize,
}

/// The measurements of one process.
pub(crate) struct Course {
    what: &'static str,
    pid: u32,
    looks: Vec<Vitals>,
}

impl Course {
    /// Begins with a measurement before any call.
    pub(crate) fn new(what: &'static str, pid: u32) -> Self {
        let mut course = Self { what, pid, looks: Vec::new() };
        course.look(0);
        course
    }

    /// Measures again, after so many calls.
    pub(crate) fn look(&mut self, calls: usize) {
        let before = self.looks.last().map_or(0, |look| look.calls);
        let look = Vitals {
            calls: before + calls,
            resident_kib: status(self.pid, "VmRSS:"),
            threads: status(self.pid, "Threads:"),
            libraries: libraries(self.pid),
        };
        let Vitals { calls, resident_kib, threads, libraries } = look;
        let mib = resident_kib as f64 / 1024.0;
        self.print(&format!(
            "{calls:>8} calls, {mib:>6.1} MiB, {threads:>2} threads, {libraries} libraries"
        ));
        self.looks.push(look);
    }

    pub(crate) fn print(&self, what: &str) {
        let _ = writeln!(std::io::stderr(), "{}: {what}", self.what);
    }

    /// Fails unless the last measurements are like the first one after the warm-up.
    pub(crate) fn is_level(&self) {
        let looks = &self.looks[WARM_UP..];
        let (first, last) = (looks[0], looks[looks.len() - 1]);
        let grown = last.resident_kib.saturating_sub(first.resident_kib);
        assert!(grown <= MAX_GROWTH_KIB, "{}: {grown} KiB more: {looks:#?}", self.what);
        for look in looks {
            assert_eq!(look.libraries, first.libraries, "{}: {looks:#?}", self.what);
            let most = first.threads + THREADS_MORE;
            assert!(look.threads <= most, "{}: {looks:#?}", self.what);
        }
    }
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux reports it");
    let number = line.split_whitespace().next().expect("Linux reports a number");
    number.parse().expect("Linux reports a number")
}

/// The mapped files and sealed copies, each counted once.
fn libraries(pid: u32) -> usize {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("the process runs");
    let inode = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let named = fields.get(5).is_some_and(|name| name.starts_with('/'));
        named.then(|| (fields[3].to_owned(), fields[4].to_owned()))
    };
    maps.lines().filter_map(inode).collect::<BTreeSet<_>>().len()
}
