//! Runs work in a child process, where a crash, an `exit` or a hang does no harm. The gateway
//! starts itself again with a hidden subcommand, passes one file and one request, and reads lines
//! until there is a result, the child ends, or time is up. The probe does this before a plugin is
//! loaded, and so does `callgate plugin check`.
//!
//! This file is the parent's side (`protocol` reads the lines); `child_side` is the child's.
//! Neither knows the work.
//!
//! The three standard descriptors carry everything, so the child inherits no others: stdin is the
//! file, stdout a socket (for the request and the lines), stderr a pipe for output.

mod child_side;
mod environment;
mod protocol;

pub use child_side::ChildSide;
use protocol::{ChildLines, read_end, text};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{
        Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid,
    },
};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, PipeReader, Write as _},
    net::Shutdown,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::{
            net::UnixStream,
            process::{CommandExt as _, ExitStatusExt as _},
        },
    },
    path::PathBuf,
    process::{self, Command, ExitStatus, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// The pause between checks of a child that is ending.
const PAUSE: Duration = Duration::from_millis(1);

/// The pause between checks of a silent child. Its own children may hold the socket open after it
/// has ended.
const LOOK: Duration = Duration::from_millis(50);

static AVAILABLE: AtomicBool = AtomicBool::new(false);

/// The limit of open descriptors for children, if it is lower than this process's.
static DESCRIPTORS: OnceLock<Rlimit> = OnceLock::new();

/// Gives later children this limit of open descriptors, which this process was started with.
pub fn limit_descriptors(limit: Rlimit) {
    let _ = DESCRIPTORS.set(limit);
}

fn restore_descriptors(child: Pid) {
    if let Some(limit) = DESCRIPTORS.get()
        && let Err(error) = prlimit(Some(child), Resource::Nofile, *limit)
    {
        tracing::debug!(
            target: "callgate::descriptors",
            %error, "a child keeps the raised limit of open files"
        );
    }
}

/// Declares that this program has the hidden subcommands. Only the `callgate` binary does; a
/// program that links the library would start itself in vain.
pub fn enable() {
    AVAILABLE.store(true, Ordering::Relaxed);
}

/// Whether [`enable`] has been called.
#[must_use]
pub fn is_enabled() -> bool {
    AVAILABLE.load(Ordering::Relaxed)
}

/// The work of a child process.
#[derive(Debug)]
pub struct ChildJob<'a> {
    /// The program to run.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them, so they must not contain secrets.
    pub arguments: Vec<OsString>,
    /// Its input file; empty if `None`.
    pub input: Option<&'a File>,
    /// The request, which nobody else can read.
    pub request: &'a [u8],
    /// The time limit; each note from the child starts it anew.
    pub limit: Duration,
}

/// The outcome of a child process.
#[derive(Debug, PartialEq, Eq)]
pub struct ChildOutcome {
    /// How it ended.
    pub ending: ChildEnding,
    /// The last step that it reported; empty if none.
    pub step: String,
    /// The end of its output, at most 16 KiB. Untrusted: it may contain anything.
    pub output: String,
}

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ChildEnding {
    /// With this result. The parent then killed it.
    Result(String),
    /// It exited with this status, without a result.
    Exited(i32),
    /// A signal killed it.
    Signal(i32),
    /// Its time was up, and the parent killed it.
    OutOfTime,
}

impl<'a> ChildJob<'a> {
    /// Runs this program again, with a hidden subcommand.
    #[must_use]
    pub fn of_this_program(subcommand: &str) -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            arguments: vec![subcommand.into()],
            input: None,
            request: &[],
            limit: Duration::from_secs(5),
        }
    }

    /// Runs it to its end and blocks this thread. Afterwards the process and its process group are
    /// gone.
    ///
    /// # Errors
    /// If the process cannot be started or watched.
    pub fn run(&'a self) -> io::Result<ChildOutcome> {
        self.run_heard(&mut |_| {})
    }

    /// As [`ChildJob::run`], passing each note to `heard` at once.
    ///
    /// # Errors
    /// As [`ChildJob::run`].
    pub fn run_heard(&'a self, heard: &mut dyn FnMut(&str)) -> io::Result<ChildOutcome> {
        let deadline = Instant::now() + self.limit;
        let (channel, theirs) = UnixStream::pair()?;
        let (printed, output) = io::pipe()?;
        let input = match self.input {
            Some(file) => Stdio::from(file.try_clone()?),
            None => Stdio::null(),
        };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(environment::passed());
        command.stdin(input).stdout(OwnedFd::from(theirs)).stderr(output).process_group(0);
        let child = Running { child: command.spawn()?, reaped: false };
        // Closes the child's ends of socket and pipe here, so that they close when the child ends.
        drop(command);
        // Before the child gets the request, so before it can have done any work.
        restore_descriptors(Pid::from_child(&child.child));
        channel.set_write_timeout(Some(self.limit))?;
        // A child that does not read it has ended, and the outcome says how.
        let _ = (&channel).write_all(self.request);
        let _ = channel.shutdown(Shutdown::Write);
        child.watch(channel, printed, deadline, &mut |note| {
            heard(note);
            Instant::now() + self.limit
        })
    }
}

/// A child that is killed when this is dropped.
struct Running {
    child: process::Child,
    /// It was reaped, so its process id may belong to another process.
    reaped: bool,
}

impl Running {
    fn watch(
        mut self,
        channel: UnixStream,
        printed: PipeReader,
        mut deadline: Instant,
        heard: &mut dyn FnMut(&str) -> Instant,
    ) -> io::Result<ChildOutcome> {
        for descriptor in [channel.as_fd(), printed.as_fd()] {
            fcntl_setfl(descriptor, fcntl_getfl(descriptor)? | OFlags::NONBLOCK)?;
        }
        let (mut channel, mut printed) = (Some(channel), Some(printed));
        let (mut lines, mut output) = (ChildLines::default(), Vec::new());
        let ending = loop {
            let told = channel.as_mut().is_some_and(|channel| lines.read(channel));
            if !told {
                channel = None;
            }
            lines.notes.drain(..).for_each(|note| deadline = heard(&note));
            if !printed.as_mut().is_some_and(|printed| read_end(printed, &mut output)) {
                printed = None;
            }
            if let Some(result) = lines.result.take() {
                break ChildEnding::Result(result);
            }
            if self.has_exited()? {
                // Its last output before it ended.
                if let Some(channel) = &mut channel {
                    lines.read(channel);
                }
                lines.notes.drain(..).for_each(|note| deadline = heard(&note));
                if let Some(printed) = &mut printed {
                    read_end(printed, &mut output);
                }
                let status = self.end()?;
                break lines.result.take().map_or_else(|| ended(status), ChildEnding::Result);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break ChildEnding::OutOfTime;
            }
            match &channel {
                Some(channel) => wait(channel, printed.as_ref(), LOOK.min(left))?,
                // It has closed the socket, as an exiting process does.
                None => thread::sleep(PAUSE.min(left)),
            }
        };
        Ok(ChildOutcome { ending, step: lines.step, output: text(&output) })
    }

    fn id(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Whether it has ended. Its process id stays reserved, so that its group can still be killed.
    fn has_exited(&self) -> io::Result<bool> {
        let Some(id) = self.id() else { return Ok(true) };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(id), look)?.is_some())
    }

    /// Kills it, if it still runs, and its process group.
    fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(group) = self.id().filter(|_| !self.reaped) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn ended(status: ExitStatus) -> ChildEnding {
    match (status.code(), status.signal()) {
        (Some(code), _) => ChildEnding::Exited(code),
        (None, signal) => ChildEnding::Signal(signal.unwrap_or_default()),
    }
}

/// Waits until there is something to read, or `left` has passed.
fn wait(channel: &UnixStream, printed: Option<&PipeReader>, left: Duration) -> io::Result<()> {
    let mut watched = vec![PollFd::new(channel, PollFlags::IN)];
    watched.extend(printed.map(|printed| PollFd::new(printed, PollFlags::IN)));
    let timeout = Timespec::try_from(left).ok();
    match poll(&mut watched, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
