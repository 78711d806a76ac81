//! Work in a child process of our own, where a crash, an `exit` or a hang hurts nobody: the gateway
//! starts itself again with a hidden subcommand, hands over one file and one request, and reads
//! lines until there is a result, an end, or no time left.
//!
//! Here is the parent's side; the child's is `inside`. What the work is, neither knows.
//!
//! The three standard descriptors carry everything, so nothing else has to be inherited: stdin is
//! the file, stdout a socket (the request there, lines back), stderr a pipe for whatever is printed.

mod environment;
mod inside;

pub use inside::Inside;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, ErrorKind, PipeReader, Read as _, Write as _},
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
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid},
};

/// How much of what it prints is kept: the last of it, where a crash is told.
const OUTPUT: usize = 16 << 10;

/// How much it may answer.
const ANSWER: usize = 4 << 20;

/// Between looks at a child that is ending.
const PAUSE: Duration = Duration::from_millis(1);

static AVAILABLE: AtomicBool = AtomicBool::new(false);

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
pub struct Job<'a> {
    /// The program.
    pub program: PathBuf,
    /// Its arguments. Everybody on the machine can read them: no secret belongs here.
    pub arguments: Vec<OsString>,
    /// What it finds as its input file; `None` is an empty one.
    pub input: Option<&'a File>,
    /// What it is told, in a way that nobody else can read.
    pub request: &'a [u8],
    /// How long all of it may take.
    pub limit: Duration,
}

/// How a child process came out.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The step it named last; empty when it named none.
    pub step: String,
    /// The last of what it printed, at most 16 KiB. Not to be trusted: it may hold anything.
    pub output: String,
}

/// How a child process ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ending {
    /// It gave this result. Whatever it would have done afterwards, it was ended then.
    Result(String),
    /// It exited with this status, and without a result.
    Exited(i32),
    /// A signal ended it.
    Signal(i32),
    /// Its time was over, and it was ended.
    OutOfTime,
}

impl<'a> Job<'a> {
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
    pub fn run(&'a self) -> io::Result<Outcome> {
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
        channel.set_write_timeout(Some(self.limit))?;
        // A child that does not read it has ended, and how is what will be told.
        let _ = (&channel).write_all(self.request);
        let _ = channel.shutdown(Shutdown::Write);
        child.watch(channel, printed, deadline)
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
        deadline: Instant,
    ) -> io::Result<Outcome> {
        for descriptor in [channel.as_fd(), printed.as_fd()] {
            fcntl_setfl(descriptor, fcntl_getfl(descriptor)? | OFlags::NONBLOCK)?;
        }
        let (mut channel, mut printed) = (Some(channel), Some(printed));
        let (mut lines, mut output) = (Lines::default(), Vec::new());
        let ending = loop {
            let told = channel.as_mut().is_some_and(|channel| lines.read(channel));
            if !told {
                channel = None;
            }
            if !printed.as_mut().is_some_and(|printed| read_end(printed, &mut output)) {
                printed = None;
            }
            if let Some(result) = lines.result.take() {
                break Ending::Result(result);
            }
            if self.has_exited()? {
                // What it wrote just before it ended.
                if let Some(channel) = &mut channel {
                    lines.read(channel);
                }
                if let Some(printed) = &mut printed {
                    read_end(printed, &mut output);
                }
                let status = self.end()?;
                break lines.result.take().map_or_else(|| ended(status), Ending::Result);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Ending::OutOfTime;
            }
            match &channel {
                Some(channel) => wait(channel, printed.as_ref(), left)?,
                // It has closed the socket, as a process does that ends; the end is near.
                None => thread::sleep(PAUSE.min(left)),
            }
        };
        Ok(Outcome { ending, step: lines.step, output: text(&output) })
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

fn ended(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Signal(signal.unwrap_or_default()),
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

/// What the child says: `>` and a step, `=` and the result, a line each.
#[derive(Default)]
struct Lines {
    pending: Vec<u8>,
    step: String,
    result: Option<String>,
}

impl Lines {
    /// Reads what is there; `false` when nothing more will come.
    fn read(&mut self, source: &mut UnixStream) -> bool {
        let mut part = [0; 4096];
        loop {
            match source.read(&mut part) {
                Ok(0) => return false,
                Ok(count) => self.take(part.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte != b'\n' {
                if self.pending.len() < ANSWER {
                    self.pending.push(byte);
                }
                continue;
            }
            let line = text(&std::mem::take(&mut self.pending));
            if let Some(step) = line.strip_prefix('>') {
                step.clone_into(&mut self.step);
            } else if let Some(result) = line.strip_prefix('=') {
                self.result.get_or_insert(result.to_owned());
            }
        }
    }
}

/// Reads what is there and keeps the end of it; `false` when nothing more will come.
fn read_end(source: &mut PipeReader, kept: &mut Vec<u8>) -> bool {
    let mut part = [0; 4096];
    // A child that prints without end must not keep us from looking at the time.
    for _ in 0..64 {
        match source.read(&mut part) {
            Ok(0) => return false,
            Ok(count) => {
                kept.extend_from_slice(part.get(..count).unwrap_or_default());
                kept.drain(..kept.len().saturating_sub(OUTPUT));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
    }
    true
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Ending, Job, OUTPUT};
    use std::{fs::File, io::Write as _, time::Duration};

    fn shell(script: &str) -> Job<'_> {
        Job {
            program: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
            input: None,
            request: b"",
            limit: Duration::from_secs(30),
        }
    }

    #[test]
    fn each_ending_is_told_apart() {
        for (script, ending, step) in [
            (
                "echo '>one'; echo '>two'; echo '=done'; sleep 60",
                Ending::Result("done".into()),
                "two",
            ),
            ("echo '=first'; echo '=second'", Ending::Result("first".into()), ""),
            ("echo '>one'", Ending::Exited(0), "one"),
            ("exit 7", Ending::Exited(7), ""),
            ("echo '>here'; kill -SEGV $$", Ending::Signal(11), "here"),
            ("echo nonsense; printf '=cut'", Ending::Exited(0), ""),
            ("exec >&-; exit 3", Ending::Exited(3), ""),
        ] {
            let outcome = shell(script).run().expect("a shell");
            assert_eq!((outcome.ending, &*outcome.step), (ending, step), "{script}");
        }
    }

    #[test]
    fn what_takes_too_long_is_ended_with_all_it_started() {
        for script in ["sleep 60 & echo '>hangs'; wait", "echo '>hangs'; exec >&-; sleep 60"] {
            let job = Job { limit: Duration::from_millis(300), ..shell(script) };
            let outcome = job.run().expect("a shell");
            assert_eq!((outcome.ending, &*outcome.step), (Ending::OutOfTime, "hangs"), "{script}");
        }
    }

    #[test]
    fn of_what_is_printed_the_end_is_kept() {
        let script = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
        let outcome = shell(script).run().expect("a shell");
        assert!(outcome.output.len() <= OUTPUT && outcome.output.ends_with("line 2999\n"));
    }

    #[test]
    fn file_and_request_arrive_and_the_environment_does_not() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"of the file").expect("written");
        let file = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file)));
        let file = file.expect("reopened at its start");
        let large = "x".repeat(300_000);
        let script = "exec 3<&1; file=$(cat); n=$(wc -c <&3); echo \"=$file, $n, [$HOME$CARGO]\"";
        let job = Job { input: Some(&file), request: large.as_bytes(), ..shell(script) };
        let outcome = job.run().expect("a shell");
        assert_eq!(outcome.ending, Ending::Result("of the file, 300000, []".to_owned()));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        let job = Job { program: "/nowhere/at/all".into(), ..shell("") };
        assert!(job.run().is_err());
    }
}
