//! The child's side: takes over what was handed to it, and bounds itself before it does anything.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
};

use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit},
    stdio,
};

/// Private memory it may take: far beyond any callback, far below a machine.
const MEMORY: u64 = 4 << 30;

/// A child process that knows what it is for.
#[derive(Debug)]
pub struct ChildSide {
    /// The file it was handed.
    pub input: File,
    /// What it was told.
    pub request: Vec<u8>,
    channel: UnixStream,
}

impl ChildSide {
    /// Takes the standard descriptors over: from here on stdin is empty, what is printed to stdout
    /// goes where stderr goes, no core is written, and memory is bounded. Call it once, first.
    ///
    /// # Errors
    /// When this process was not started by [`ChildJob::run`](super::ChildJob::run).
    pub fn new() -> io::Result<Self> {
        // Whoever started it and is gone waits for nothing any more.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let bound = |bytes| Rlimit { current: Some(bytes), maximum: Some(bytes) };
        setrlimit(Resource::Core, bound(0))?;
        // Where less is allowed already, that holds.
        let _ = setrlimit(Resource::Data, bound(MEMORY));
        let input = fcntl_dupfd_cloexec(stdio::stdin(), 3)?;
        let channel = fcntl_dupfd_cloexec(stdio::stdout(), 3)?;
        // Empty, also where there is no /dev/null.
        let (empty, _) = io::pipe()?;
        stdio::dup2_stdin(empty)?;
        stdio::dup2_stdout(stdio::stderr())?;
        let mut channel = UnixStream::from(channel);
        let mut request = Vec::new();
        channel.read_to_end(&mut request)?;
        Ok(Self { input: File::from(input), request, channel })
    }

    /// Says what it is about to do: the last step said is where it died, should it die.
    pub fn step(&mut self, name: &str) {
        self.say('>', name);
    }

    /// Gives a note, one line.
    pub fn note(&mut self, text: &str) {
        self.say('+', text);
    }

    /// Gives the result, one line, which ends this process.
    pub fn finish(mut self, result: &str) {
        self.say('=', result);
    }

    fn say(&mut self, kind: char, text: &str) {
        let line = format!("{kind}{}\n", text.replace('\n', " "));
        // A parent that does not listen any more ends this process anyway.
        let _ = self.channel.write_all(line.as_bytes());
    }
}
