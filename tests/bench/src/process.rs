//! Measured processes: starts them on their core, reads their CPU time and memory, ends them by
//! process id. It does not know what the processes do. Linux only: the figures come from `/proc`
//! and from the scheduler's clock of each process.

use nix::{
    errno::Errno,
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::signal::{Signal, kill},
    time::clock_getcpuclockid,
    unistd::Pid,
};
use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use thiserror::Error;

/// Under valgrind an unoptimised gateway takes a quarter of this.
const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(5);
const START_POLL: Duration = Duration::from_micros(200);
const STOP_POLL: Duration = Duration::from_millis(5);

/// Why a process could not be started, pinned or read.
#[derive(Debug, Error)]
pub enum ProcessError {
    #[error("`{program}` cannot be started")]
    Start { program: PathBuf, source: io::Error },
    #[error("`{program}` ended or stayed silent instead of listening on port {port}: {log}")]
    NotListening { program: PathBuf, port: u16, log: String },
    #[error("the log of `{program}` cannot be written")]
    Log { program: PathBuf, source: io::Error },
    #[error("no free port on the loopback interface")]
    Port(#[source] io::Error),
    #[error("CPU affinity cannot be read or set")]
    Affinity(#[source] Errno),
    #[error("found one usable CPU, need two: one for the proxy, one for load and upstream")]
    OneCpu,
    #[error("CPU time of process {pid} cannot be read")]
    CpuTime { pid: i32, source: Errno },
    #[error("`{0}` cannot be read as expected")]
    Proc(PathBuf),
}

/// The CPUs this run may use, divided between the proxy and everything else.
#[derive(Clone, Copy, Debug)]
pub struct Cores {
    proxy: CpuSet,
    rest: CpuSet,
}

impl Cores {
    /// Gives the last usable CPU to the proxy, and moves the calling thread off it.
    ///
    /// # Errors
    /// With fewer than two usable CPUs, or when the system refuses.
    pub fn divide() -> Result<Self, ProcessError> {
        let usable = sched_getaffinity(this_thread()).map_err(ProcessError::Affinity)?;
        let is_usable = |cpu: &usize| usable.is_set(*cpu).unwrap_or(false);
        let mut cpus: Vec<_> = (0..CpuSet::count()).filter(is_usable).collect();
        let last = cpus.pop().filter(|_| !cpus.is_empty()).ok_or(ProcessError::OneCpu)?;
        let cores = Self { proxy: set_of(&[last])?, rest: set_of(&cpus)? };
        cores.pin_to(&cores.rest)?;
        Ok(cores)
    }

    /// Shares all usable CPUs: without timing, one is enough.
    ///
    /// # Errors
    /// If the system does not report them.
    pub fn shared() -> Result<Self, ProcessError> {
        let usable = sched_getaffinity(this_thread()).map_err(ProcessError::Affinity)?;
        Ok(Self { proxy: usable, rest: usable })
    }

    fn pin_to(&self, cpus: &CpuSet) -> Result<(), ProcessError> {
        sched_setaffinity(this_thread(), cpus).map_err(ProcessError::Affinity)
    }
}

fn this_thread() -> Pid {
    Pid::from_raw(0)
}

fn set_of(cpus: &[usize]) -> Result<CpuSet, ProcessError> {
    let mut set = CpuSet::new();
    cpus.iter().try_for_each(|cpu| set.set(*cpu)).map_err(ProcessError::Affinity)?;
    Ok(set)
}

/// The CPUs for a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    ProxyCore,
    OtherCores,
}

/// A listening process and its children; ended when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    program: PathBuf,
    log: PathBuf,
    pub address: SocketAddr,
    /// From just before it was started until a connection was accepted.
    pub started_in: Duration,
}

/// Memory and CPU time of a process with its children.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub cpu: Duration,
    pub resident_bytes: u64,
}

impl Process {
    /// Starts `program`, its output going to `log`, and waits until `port` accepts a connection.
    ///
    /// The program inherits the CPU mask, so if it sizes its thread pool by the number of CPUs, it
    /// counts only its own.
    ///
    /// # Errors
    /// If the program cannot be started, or does not listen within a minute.
    pub fn start<I, A>(
        program: &Path,
        arguments: I,
        (cores, place): (&Cores, Place),
        port: u16,
        log: &Path,
    ) -> Result<Self, ProcessError>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let log_failed = |source| ProcessError::Log { program: program.to_owned(), source };
        let output = open_log(log).map_err(log_failed)?;
        let errors = output.try_clone().map_err(log_failed)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        if place == Place::ProxyCore {
            cores.pin_to(&cores.proxy)?;
        }
        let begun = Instant::now();
        let spawned = command.spawn();
        cores.pin_to(&cores.rest)?;
        let child = spawned
            .map_err(|source| ProcessError::Start { program: program.to_owned(), source })?;
        let mut process = Self {
            child,
            program: program.to_owned(),
            log: log.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            started_in: Duration::ZERO,
        };
        process.wait_until_listening(begun)?;
        Ok(process)
    }

    /// CPU time and resident memory at this moment, children (nginx's worker) included.
    ///
    /// # Errors
    /// If the process or a child of it is gone.
    pub fn usage(&self) -> Result<Usage, ProcessError> {
        let mut total = Usage { cpu: Duration::ZERO, resident_bytes: 0 };
        for pid in self.family()? {
            total.cpu += cpu_time(pid)?;
            total.resident_bytes += resident_bytes(pid)?;
        }
        Ok(total)
    }

    /// Empties the log, so that a long run does not fill the disk with access lines.
    ///
    /// # Errors
    /// When the file cannot be truncated.
    pub fn clear_log(&self) -> Result<(), ProcessError> {
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&self.log)
            .map(drop)
            .map_err(|source| ProcessError::Log { program: self.program.clone(), source })
    }

    fn wait_until_listening(&mut self, begun: Instant) -> Result<(), ProcessError> {
        while TcpStream::connect(self.address).is_err() {
            let ended = !matches!(self.child.try_wait(), Ok(None));
            if ended || begun.elapsed() > START_LIMIT {
                return Err(ProcessError::NotListening {
                    program: self.program.clone(),
                    port: self.address.port(),
                    log: fs::read_to_string(&self.log).unwrap_or_default(),
                });
            }
            std::thread::sleep(START_POLL);
        }
        self.started_in = begun.elapsed();
        Ok(())
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    fn family(&self) -> Result<Vec<Pid>, ProcessError> {
        let pid = self.pid();
        let path = PathBuf::from(format!("/proc/{pid}/task/{pid}/children"));
        let children = read(&path)?;
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        Ok(std::iter::once(pid).chain(children.map(Pid::from_raw)).collect())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // nginx's worker outlives a killed master, so the master gets SIGTERM first.
        let family = self.family().unwrap_or_default();
        let _ = kill(self.pid(), Signal::SIGTERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if asked.elapsed() > STOP_LIMIT {
                for pid in family {
                    let _ = kill(pid, Signal::SIGKILL);
                }
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(STOP_POLL);
        }
    }
}

/// A port that was free a moment ago, for programs that cannot choose one.
///
/// # Errors
/// If the loopback interface has no free port.
pub fn free_port() -> Result<u16, ProcessError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(ProcessError::Port)?;
    Ok(listener.local_addr().map_err(ProcessError::Port)?.port())
}

/// Opened for appending, so that writing starts at the beginning after the log was cleared.
fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The CPU time of all threads, ended ones included, from the scheduler.
fn cpu_time(pid: Pid) -> Result<Duration, ProcessError> {
    clock_getcpuclockid(pid)
        .and_then(nix::time::ClockId::now)
        .map(Duration::from)
        .map_err(|source| ProcessError::CpuTime { pid: pid.as_raw(), source })
}

fn resident_bytes(pid: Pid) -> Result<u64, ProcessError> {
    let path = PathBuf::from(format!("/proc/{pid}/status"));
    let status = read(&path)?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or(ProcessError::Proc(path))
}

fn read(path: &Path) -> Result<String, ProcessError> {
    fs::read_to_string(path).map_err(|_| ProcessError::Proc(path.to_owned()))
}
