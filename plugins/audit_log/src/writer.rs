//! The thread that writes lines to the file.

use crate::{
    file::{FileError, LogFile, Written},
    losses::BETWEEN,
    waiting::{Message, Shared},
};
use plugin_api::Level;
use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc::Receiver},
    thread,
    time::{Duration, Instant},
};

/// The time between two attempts to write lines that are kept.
const AGAIN: Duration = if cfg!(test) { Duration::from_millis(5) } else { Duration::from_secs(1) };

/// The state of the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    file: LogFile,
    shared: Arc<Shared>,
    /// Keeps lines that cannot be written and tries again.
    patient: bool,
    /// The number of lost lines that are not logged yet.
    lost: usize,
    /// When an error was last logged.
    told: Option<Instant>,
    /// An error was logged, and its end was not.
    failing: bool,
}

impl Writer {
    pub(crate) fn new(file: LogFile, shared: Arc<Shared>, patient: bool) -> Self {
        Self { file, shared, patient, lost: 0, told: None, failing: false }
    }

    pub(crate) fn run(mut self, receiver: &Receiver<Message>) {
        let most = self.file.most_at_once();
        let mut batch = Vec::new();
        let mut next = receiver.recv().ok();
        while let Some(message) = next.take() {
            match message {
                Message::Flush(done) => {
                    // The receiver may have stopped waiting.
                    let _ = done.try_send(());
                }
                Message::Line(line) => {
                    // A long line is not copied.
                    if line.len() > most {
                        batch = line;
                    } else {
                        batch.extend_from_slice(&line);
                    }
                    next = fill(&mut batch, most, receiver);
                    self.write_all(&batch);
                    self.shared.waiting_bytes.fetch_sub(batch.len(), Relaxed);
                    self.shared.waiting_lines.fetch_sub(count(&batch), Relaxed);
                    batch.clear();
                    // Gives the memory of a very long line back.
                    batch.shrink_to(most);
                }
            }
            next = next.or_else(|| receiver.recv().ok());
        }
        self.log_lost();
    }

    /// Writes lines. Lines that cannot be written are tried again or lost.
    fn write_all(&mut self, lines: &[u8]) {
        let mut rest = lines;
        loop {
            let now = Instant::now();
            let Written { bytes, error } = self.file.append(rest, now);
            let (done, left) = rest.split_at(bytes.min(rest.len()));
            rest = left;
            self.shared.losses.wrote(count(done));
            // A failed rotation loses no lines.
            self.shared.failing.store(!rest.is_empty(), Relaxed);
            let ending = self.shared.ending.load(Relaxed);
            if !rest.is_empty() && (!self.patient || ending) {
                self.lost += count(rest);
                self.shared.losses.lost(count(rest));
                rest = &[];
            }
            self.log(error, now);
            if rest.is_empty() {
                return;
            }
            thread::park_timeout(AGAIN);
        }
    }

    fn log(&mut self, error: Option<FileError>, now: Instant) {
        let due = self.told.is_none_or(|told| now.saturating_duration_since(told) >= BETWEEN);
        match error {
            Some(error) if due => {
                (self.told, self.failing) = (Some(now), true);
                let lost = std::mem::take(&mut self.lost).to_string();
                let message = format!("the audit log has a problem: {error}");
                self.shared.host.log_with(Level::Error, &message, &[("lines.lost", &lost)]);
            }
            None if self.failing => {
                self.failing = false;
                self.log_lost();
                self.shared.host.log(Level::Info, "the audit log is written again");
            }
            Some(_) | None => {}
        }
        self.shared.losses.log_some(&self.shared.host);
    }

    fn log_lost(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let message = "more lines of the audit log were lost";
            self.shared.host.log_with(Level::Error, message, &[("lines.lost", &lost.to_string())]);
        }
    }
}

/// Adds waiting lines up to `most` bytes. Returns the message that follows them.
fn fill(batch: &mut Vec<u8>, most: usize, receiver: &Receiver<Message>) -> Option<Message> {
    while let Ok(more) = receiver.try_recv() {
        match more {
            Message::Line(line) if batch.len() + line.len() <= most => {
                batch.extend_from_slice(&line);
            }
            other => return Some(other),
        }
    }
    None
}

fn count(lines: &[u8]) -> usize {
    lines.iter().filter(|byte| **byte == b'\n').count()
}
