//! From the hooks to the thread that writes. Hooks never wait here; the bounds are the number of
//! lines the settings allow, and [`MOST_BYTES`].

use crate::{losses::Losses, writer::Writer};
use plugin_api::{Host, InitError, Level};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::file::LogFile;

/// What may wait: lines with content can be as large as a request. Tests need less to exceed it.
pub(crate) const MOST_BYTES: usize = if cfg!(test) { 2 << 20 } else { 64 << 20 };

/// How long `shutdown` waits for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hooks' end. Dropping it writes what waits.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    most_lines: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) enum Message {
    Line(Vec<u8>),
    /// Answered when all lines before it are written.
    Flush(SyncSender<()>),
}

/// What both ends know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) host: Host,
    pub(crate) losses: Losses,
    pub(crate) waiting_bytes: AtomicUsize,
    pub(crate) waiting_lines: AtomicUsize,
    /// The last write failed.
    pub(crate) failing: AtomicBool,
    /// No further line will come: what cannot be written now never will be.
    pub(crate) ending: AtomicBool,
}

impl Queue {
    /// `patient`: what cannot be written is kept and tried again, instead of being lost.
    pub(crate) fn start(
        host: Host,
        file: LogFile,
        lines: usize,
        patient: bool,
    ) -> Result<Self, InitError> {
        let (sender, receiver) = sync_channel(lines);
        let shared = Arc::new(Shared {
            losses: Losses::new(&host)?,
            host,
            waiting_bytes: AtomicUsize::new(0),
            waiting_lines: AtomicUsize::new(0),
            failing: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        });
        let writer = Writer::new(file, Arc::clone(&shared), patient);
        let thread = thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| InitError(format!("no thread to write with: {error}")))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), most_lines: lines, shared })
    }

    /// Whether the file takes no lines, or another line would find no room.
    pub(crate) fn is_failing(&self) -> bool {
        self.shared.failing.load(Relaxed)
            || self.shared.waiting_lines.load(Relaxed) >= self.most_lines
            || self.shared.waiting_bytes.load(Relaxed) >= MOST_BYTES
    }

    /// Hands a line over, or drops it. `None` is one that no queue has room for.
    pub(crate) fn push(&self, line: Option<Vec<u8>>) {
        let Some(line) = line else { return self.shared.losses.dropped(&self.shared.host) };
        let len = line.len();
        self.shared.waiting_lines.fetch_add(1, Relaxed);
        let waiting = self.shared.waiting_bytes.fetch_add(len, Relaxed);
        let sent = waiting.saturating_add(len) <= MOST_BYTES
            && self.sender.as_ref().is_some_and(|it| it.try_send(Message::Line(line)).is_ok());
        if !sent {
            self.shared.waiting_bytes.fetch_sub(len, Relaxed);
            self.shared.waiting_lines.fetch_sub(1, Relaxed);
            self.shared.losses.dropped(&self.shared.host);
        }
    }

    /// Waits until everything that was handed over is written; not for ever.
    pub(crate) fn flush(&self) {
        let Some(sender) = &self.sender else { return };
        let (done, written) = sync_channel(1);
        let deadline = Instant::now() + PATIENCE;
        let mut message = Message::Flush(done);
        while let Err(TrySendError::Full(back)) = sender.try_send(message) {
            if Instant::now() >= deadline {
                break;
            }
            message = back;
            thread::sleep(Duration::from_millis(1));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if written.recv_timeout(left).is_err() {
            self.shared.host.log(Level::Warn, "the audit log's file does not take its last lines");
        }
    }
}

/// Lets the thread write what waits and waits for it: it must not use the host later.
impl Drop for Queue {
    fn drop(&mut self) {
        self.sender = None;
        self.shared.ending.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
        self.shared.losses.log_rest(&self.shared.host);
    }
}
