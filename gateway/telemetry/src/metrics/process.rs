//! Metrics of the process itself, with the names of Prometheus's own clients.

use super::Exposition;
use std::fs;

/// Linux reports times to user space in hundredths of a second, whatever the kernel's clock rate.
const TICKS: f64 = 100.0;

/// Adds the values that the system reports; leaves out the others.
pub fn write(text: &mut Exposition) {
    let mut sample = |name: &str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            text.family(name, kind, help);
            text.sample(name, &[], value);
        }
    };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    let cpu = Some((stat_field(&stat, 14), stat_field(&stat, 15)));
    let cpu = cpu.and_then(|(user, system)| Some((user? + system?) / TICKS));
    let name = "process_cpu_seconds_total";
    sample(name, "counter", "Processor time of this process.", cpu);
    let resident = status_field(&status, "VmRSS:").map(|kib| kib * 1024.0);
    sample("process_resident_memory_bytes", "gauge", "Memory in RAM.", resident);
    let virtual_memory = status_field(&status, "VmSize:").map(|kib| kib * 1024.0);
    sample("process_virtual_memory_bytes", "gauge", "Address space in use.", virtual_memory);
    sample("process_threads", "gauge", "Threads.", status_field(&status, "Threads:"));
    sample("process_open_fds", "gauge", "Open file descriptors.", open_descriptors());
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(f64::INFINITY, |limit| limit as f64);
    sample("process_max_fds", "gauge", "The soft limit of file descriptors.", Some(limit));
    let booted = read("/proc/stat").lines().find_map(|line| number(line.strip_prefix("btime ")?));
    let started = booted.and_then(|booted| Some(booted + stat_field(&stat, 22)? / TICKS));
    let name = "process_start_time_seconds";
    sample(name, "gauge", "When it started, in seconds since 1970.", started);
}

/// A field of `/proc/self/stat`, counted from 1 as in its manual. The second field is a name in
/// parentheses that may contain blanks.
fn stat_field(stat: &str, field: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    number(rest.split_ascii_whitespace().nth(field.checked_sub(3)?)?)
}

/// A number of `/proc/self/status`.
fn status_field(status: &str, name: &str) -> Option<f64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    number(value.split_ascii_whitespace().next()?)
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok()
}

/// Newer kernels report the count as the folder's size; for older ones the files are counted.
fn open_descriptors() -> Option<f64> {
    const FOLDER: &str = "/proc/self/fd";
    let told = fs::metadata(FOLDER).ok().map(|folder| folder.len()).filter(|count| *count > 0);
    // Without the descriptor that reads the folder.
    let counted = || Some(fs::read_dir(FOLDER).ok()?.count().saturating_sub(1) as u64);
    told.or_else(counted).map(|count| count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0 20 0 3 0 12345 99";
        assert_eq!((stat_field(stat, 14), stat_field(stat, 15)), (Some(40.0), Some(2.0)));
        assert_eq!((stat_field(stat, 22), stat_field(stat, 80)), (Some(12345.0), None));
        let status = "Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t5\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(2048.0));
        assert_eq!(
            (status_field(status, "Threads:"), status_field(status, "No:")),
            (Some(5.0), None)
        );
    }

    #[test]
    fn this_process_is_described() {
        let mut text = Exposition::default();
        write(&mut text);
        let text = text.finish();
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "max_fds", "threads"]
        {
            let line = text.lines().find(|line| line.starts_with(&format!("process_{name} ")));
            assert!(line.is_some(), "{name}\n{text}");
        }
    }
}
