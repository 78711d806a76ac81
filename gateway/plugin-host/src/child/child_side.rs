//! The child's side: takes over what the parent passed, and limits itself before it does any work.

use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
    stdio,
};
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
};

/// The limit on its private memory: far above any callback's need, far below a machine's.
const MEMORY: u64 = 4 << 30;

/// A child process with its input and request.
#[derive(Debug)]
pub struct ChildSide {
    /// The file from the parent.
    pub input: File,
    /// The request from the parent.
    pub request: Vec<u8>,
    channel: UnixStream,
}

impl ChildSide {
    /// Takes over the standard descriptors: from now on stdin is empty, stdout goes where stderr
    /// goes, no core is written, and memory is limited. Call it once, before anything else.
    ///
    /// # Errors
    /// If this process was not started by [`ChildJob::run`](super::ChildJob::run).
    pub fn new() -> io::Result<Self> {
        // Die with the parent, because nobody else waits for the result.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let bound = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(Resource::Core, bound(0))?;
        // A lower limit stays.
        let _ = setrlimit(Resource::Data, bound(MEMORY));
        let input = fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
        let channel = fcntl_dupfd_cloexec(stdio::stdout(), 3)?;
        // An empty file, which needs no /dev/null.
        let (empty, _) = io::pipe()?;
        stdio::dup2_stdin(empty)?;
        stdio::dup2_stdout(stdio::stderr())?;
        let mut channel = UnixStream::from(channel);
        let mut request = Vec::new();
        channel.read_to_end(&mut request)?;
        Ok(Self { input: File::from(input), request, channel })
    }

    /// Reports the next step. If the process dies, the last step reported says where.
    pub fn step(&mut self, name: &str) {
        self.say('>', name);
    }

    /// Sends a note of one line.
    pub fn note(&mut self, text: &str) {
        self.say('+', text);
    }

    /// Sends the result, one line. The parent then kills this process.
    pub fn finish(mut self, result: &str) {
        self.say('=', result);
    }

    fn say(&mut self, kind: char, text: &str) {
        let line = format!("{kind}{}\n", text.replace('\n', " "));
        // If the parent is gone, this process is killed anyway.
        let _ = self.channel.write_all(line.as_bytes());
    }
}
