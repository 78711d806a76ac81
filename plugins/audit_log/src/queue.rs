//! The queue from the hooks to the writer's thread. Hooks never wait. Its bounds are the number of
//! lines that the settings allow, and [`MOST_BYTES`].

use crate::{
    file::LogFile,
    losses::Losses,
    waiting::{Message, Shared},
    writer::Writer,
};
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

/// How many bytes may wait. Lines with content can be as large as a request. Tests use a smaller
/// bound.
pub(crate) const MOST_BYTES: usize = if cfg!(test) { 2 << 20 } else { 64 << 20 };

/// The longest line. A text of 32 MiB without escapes fits. The text is in memory beside the line,
/// so escapes must not make the line a multiple of it.
pub(crate) const LONGEST_LINE: usize = if cfg!(test) { MOST_BYTES } else { 34 << 20 };

/// How long `shutdown` waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sending end of the queue. Dropping it writes the waiting lines.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    most_lines: usize,
    shared: Arc<Shared>,
}

impl Queue {
    /// Starts the thread. If `patient`, lines that cannot be written are kept and tried again.
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
            .map_err(|error| {
                InitError(format!("cannot start the thread that writes the audit log: {error}"))
            })?;
        Ok(Self { sender: Some(sender), thread: Some(thread), most_lines: lines, shared })
    }

    /// Returns whether the last write failed or the queue is full.
    pub(crate) fn is_failing(&self) -> bool {
        self.shared.failing.load(Relaxed)
            || self.shared.waiting_lines.load(Relaxed) >= self.most_lines
            || self.shared.waiting_bytes.load(Relaxed) >= MOST_BYTES
    }

    /// Queues a line, or drops it if there is no room. `None` stands for a line longer than the
    /// queue's bound.
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

    /// Waits until all queued lines are written, at most [`PATIENCE`].
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
            self.shared
                .host
                .log(Level::Warn, "the last lines of the audit log could not be written in time");
        }
    }
}

/// Lets the thread write the waiting lines and joins it, because it must not use the host later.
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
