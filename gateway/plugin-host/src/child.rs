//! Work in a child process of our own, where a crash, an `exit` or a hang hurts nobody: the gateway
//! starts itself again with a hidden subcommand, hands over one file and one request, and reads
//! lines until there is a result, an end, or no time left. The probe does so before a plugin is
//! loaded, and `callgate plugin check`.
//!
//! Here is the parent's side (what it reads in `protocol`); the child's is `child_side`. What the
//! work is, neither knows.
//!
//! The three standard descriptors carry everything, so nothing else has to be inherited: stdin is
//! the file, stdout a socket (the request there, lines back), stderr a pipe for whatever is
//! printed.

mod child_side;
mod environment;
mod protocol;

pub use child_side::ChildSide;

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

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{
        Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, kill_process_group, prlimit, waitid,
    },
};

use protocol::{ChildLines, read_end, text};

/// Between looks at a child that is ending.
const PAUSE: Duration = Duration::from_millis(1);

/// Between looks at one that says nothing: what it started may hold the socket open when it has
/// ended.
const LOOK: Duration = Duration::from_millis(50);

static AVAILABLE: AtomicBool = AtomicBool::new(false);

/// How many descriptors a child may have open, where that is less than this process may.
static DESCRIPTORS: OnceLock<Rlimit> = OnceLock::new();

/// Gives every later child this limit of open descriptors: the one this process was started with.
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

/// Says that this program has the hidden subcommands. Only the `callgate` binary does; a program
/// that merely links the library would start itself in vain.
pub fn enable() {
    AVAILABLE.store(true, Ordering::Relaxed);
}

/// Whether [`enable`] has been called.
#[must_use]
pub fn is_enabled() -> bool {
    AVAILABLE.load(Ordering::Relaxed)
}

/// What a child process is to do.
#[derive(Debug)]
pub struct ChildJob<'a> {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them: no secret belongs here.
    pub arguments: Vec<OsString>,
    /// What it finds as its input file; `None` is an empty one.
    pub input: Option<&'a File>,
    /// What it is told, in a way that nobody else can read.
    pub request: &'a [u8],
    /// How long all of it may take; each note it gives begins this time anew.
    pub limit: Duration,
}

/// How a child process came out.
#[derive(Debug, PartialEq, Eq)]
pub struct ChildOutcome {
    /// How it ended.
    pub ending: ChildEnding,
    /// The step it named last; empty when it named none.
    pub step: String,
    /// The last of what it printed, at most 16 KiB. Not to be trusted: it may hold anything.
    pub output: String,
}

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum ChildEnding {
    /// It gave this result. Whatever it would have done afterwards, it was ended then.
    Result(String),
    /// It exited with this status, and without a result.
    Exited(i32),
    /// A signal ended it.
    Signal(i32),
    /// Its time was over, and it was ended.
    OutOfTime,
}

impl<'a> ChildJob<'a> {
    /// This program again, with a hidden subcommand.
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

    /// Runs it to its end, on this thread. When this returns, the process and what it started in
    /// its process group are gone.
    ///
    /// # Errors
    /// When the system does not let the process be started or watched.
    pub fn run(&'a self) -> io::Result<ChildOutcome> {
        self.run_heard(&mut |_| {})
    }

    /// As [`ChildJob::run`], handing every note that it gives on as it comes.
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
        // Its ends of socket and pipe: they close with the child, not with us.
        drop(command);
        // Before it is told what to do, so before it can have done anything.
        restore_descriptors(Pid::from_child(&child.child));
        channel.set_write_timeout(Some(self.limit))?;
        // A child that does not read it has ended, and how is what will be told.
        let _ = (&channel).write_all(self.request);
        let _ = channel.shutdown(Shutdown::Write);
        child.watch(channel, printed, deadline, &mut |note| {
            heard(note);
            Instant::now() + self.limit
        })
    }
}

/// A child that does not outlive its parent's interest.
struct Running {
    child: process::Child,
    /// Its number may belong to another process by now.
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
                // What it wrote just before it ended.
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
                // It has closed the socket, as a process does that ends; the end is near.
                None => thread::sleep(PAUSE.min(left)),
            }
        };
        Ok(ChildOutcome { ending, step: lines.step, output: text(&output) })
    }

    fn id(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }

    /// Whether it has ended; its number stays taken, so that its group can still be ended.
    fn has_exited(&self) -> io::Result<bool> {
        let Some(id) = self.id() else { return Ok(true) };
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(id), look)?.is_some())
    }

    /// Ends it, if it has not, and whatever it started in its group.
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

/// Until there is something to read, or `left` has passed.
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
