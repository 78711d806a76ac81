//! From the hooks to the thread that writes. Hooks never wait here; the bounds are the number of
//! lines the settings allow, and [`MOST_BYTES`].

use crate::file::{LogFile, Written};
use plugin_api::{Host, InitError, Level};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// What may wait: lines with content can be as large as a request. Tests need less to exceed it.
const MOST_BYTES: usize = if cfg!(test) { 2 << 20 } else { 64 << 20 };

/// Between two lines in the gateway's log about one kind of trouble.
const BETWEEN: Duration = Duration::from_secs(60);

/// How long `shutdown` waits for a disk that does not answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The hooks' end. Dropping it writes what waits.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Answered when all lines before it are written.
    Flush(SyncSender<()>),
}

#[derive(Debug)]
struct Shared {
    host: Host,
    waiting_bytes: AtomicUsize,
    /// Lines that found no room and have not been told of.
    dropped: AtomicU64,
    told: Mutex<Option<Instant>>,
}

impl Queue {
    pub(crate) fn start(host: Host, file: LogFile, lines: usize) -> Result<Self, InitError> {
        let (sender, receiver) = sync_channel(lines);
        let shared = Arc::new(Shared {
            host,
            waiting_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            told: Mutex::new(None),
        });
        let writer =
            Writer { file, shared: Arc::clone(&shared), lost: 0, told: None, failing: false };
        let thread = thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| InitError(format!("no thread to write with: {error}")))?;
        Ok(Self { sender: Some(sender), thread: Some(thread), shared })
    }

    /// Hands a line over, or drops it.
    pub(crate) fn push(&self, line: Vec<u8>) {
        let len = line.len();
        let waiting = self.shared.waiting_bytes.fetch_add(len, Relaxed);
        let sent = waiting.saturating_add(len) <= MOST_BYTES
            && self.sender.as_ref().is_some_and(|it| it.try_send(Message::Line(line)).is_ok());
        if !sent {
            self.shared.waiting_bytes.fetch_sub(len, Relaxed);
            self.shared.dropped.fetch_add(1, Relaxed);
            self.shared.tell_dropped(false);
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
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.tell_dropped(true);
    }
}

impl Shared {
    fn tell_dropped(&self, at_last: bool) {
        let now = Instant::now();
        {
            // Whoever holds it is telling.
            let Ok(mut told) = self.told.try_lock() else { return };
            let recent = told.is_some_and(|told| now.saturating_duration_since(told) < BETWEEN);
            if recent && !at_last {
                return;
            }
            *told = Some(now);
        }
        let dropped = self.dropped.swap(0, Relaxed);
        if dropped > 0 {
            let fields = [("lines.lost", &*dropped.to_string())];
            let message = "lines of the audit log were dropped: too many wait to be written";
            self.host.log_with(Level::Warn, message, &fields);
        }
    }
}

/// The thread's end.
#[derive(Debug)]
struct Writer {
    file: LogFile,
    shared: Arc<Shared>,
    /// Lines that could not be written and have not been told of.
    lost: usize,
    /// When trouble was last told.
    told: Option<Instant>,
    /// That was told, and not yet its end.
    failing: bool,
}

impl Writer {
    fn run(mut self, receiver: &Receiver<Message>) {
        let most = self.file.most_at_once();
        let mut batch = Vec::new();
        let mut next = receiver.recv().ok();
        while let Some(message) = next.take() {
            match message {
                Message::Flush(done) => {
                    // Nobody may be waiting any more.
                    let _ = done.try_send(());
                    next = receiver.recv().ok();
                }
                Message::Line(line) => {
                    batch.extend_from_slice(&line);
                    while let Ok(more) = receiver.try_recv() {
                        match more {
                            Message::Line(line) if batch.len() + line.len() <= most => {
                                batch.extend_from_slice(&line);
                            }
                            other => {
                                next = Some(other);
                                break;
                            }
                        }
                    }
                    self.write(&batch);
                    self.shared.waiting_bytes.fetch_sub(batch.len(), Relaxed);
                    batch.clear();
                    // A line of an enormous prompt must not keep its room.
                    batch.shrink_to(most);
                    next = next.or_else(|| receiver.recv().ok());
                }
            }
        }
        self.tell_lost();
    }

    fn write(&mut self, lines: &[u8]) {
        let now = Instant::now();
        let Written { lost, error } = self.file.append(lines, now);
        self.lost += lost;
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= BETWEEN);
        match error {
            Some(error) if due => {
                (self.told, self.failing) = (Some(now), true);
                let lost = std::mem::take(&mut self.lost).to_string();
                let message = format!("the audit log is not as it should be: {error}");
                self.shared.host.log_with(Level::Error, &message, &[("lines.lost", &lost)]);
            }
            None if self.failing => {
                self.failing = false;
                self.tell_lost();
                self.shared.host.log(Level::Info, "the audit log is written again");
            }
            Some(_) | None => {}
        }
        if self.shared.dropped.load(Relaxed) > 0 {
            self.shared.tell_dropped(false);
        }
    }

    fn tell_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let message = "more lines of the audit log were lost";
            self.shared.host.log_with(Level::Error, message, &[("lines.lost", &lost.to_string())]);
        }
    }
}
