//! Lines that wait to be written, in the order in which they were made. A thread that logs never
//! waits for the log's reader: a line without room is dropped and counted.
//!
//! Each thread has its own buffer, so that calls share no lock. A line gets its time while its
//! buffer is locked, and the writer reads the clock before it locks the first buffer. So every line
//! up to that time is in its buffer by then, and sorting by time gives the order in which lines
//! were made.

use std::{
    mem,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::SystemTime,
};

/// Threads reserve shared room in steps of this size, so that a line seldom touches the shared
/// counter.
const PIECE: usize = 16 * 1024;

/// The lines of all threads.
pub(super) struct Queue {
    buffers: Mutex<Vec<Arc<Mutex<Buffer>>>>,
    /// The most bytes that may wait.
    bound: usize,
    /// The bytes reserved by buffers, and those being written.
    taken: AtomicUsize,
    dropped: AtomicU64,
}

/// The lines of one thread.
#[derive(Default)]
pub(super) struct Buffer {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// The bytes reserved for it.
    room: usize,
    /// The number of lines that the writer left here last time.
    left: usize,
}

#[derive(Clone, Copy)]
struct Line {
    made: SystemTime,
    end: usize,
}

/// The lines that the writer took together. Reused, to keep its memory.
#[derive(Default)]
pub(super) struct Batch {
    parts: Vec<Buffer>,
    order: Vec<(SystemTime, usize, Range<usize>)>,
    merged: Vec<u8>,
    spare: Vec<Buffer>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    pub(super) const fn new(bound: usize) -> Self {
        let (taken, dropped) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { buffers: Mutex::new(Vec::new()), bound, taken, dropped }
    }

    /// A new buffer for a thread.
    pub(super) fn buffer(&self) -> Arc<Mutex<Buffer>> {
        let buffer = Arc::<Mutex<Buffer>>::default();
        lock(&self.buffers).push(Arc::clone(&buffer));
        buffer
    }

    /// Adds the line that `make` writes, unless there is no room for it. Returns the number of
    /// waiting bytes.
    pub(super) fn add(
        &self,
        buffer: &Mutex<Buffer>,
        make: impl FnOnce(SystemTime, &mut Vec<u8>),
    ) -> usize {
        let mut buffer = lock(buffer);
        let Buffer { text, lines, room, .. } = &mut *buffer;
        let start = lines.last().map_or(0, |line| line.end);
        // Remove what a panic left of a line.
        text.truncate(start);
        let made = SystemTime::now();
        make(made, text);
        let end = text.len();
        if end > *room && !self.take_room(room, end) {
            text.truncate(start);
            self.dropped.fetch_add(1, Relaxed);
            return end;
        }
        lines.push(Line { made, end });
        end
    }

    fn take_room(&self, room: &mut usize, wanted: usize) -> bool {
        let more = (wanted - *room).next_multiple_of(PIECE);
        let within = |taken: usize| Some(taken + more).filter(|taken| *taken <= self.bound);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, within).is_ok();
        if taken {
            *room += more;
        }
        taken
    }

    /// The number of dropped lines since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Counts lines that were taken but could not be written.
    pub(super) fn lost(&self, lines: u64) {
        self.dropped.fetch_add(lines, Relaxed);
    }

    /// Moves the waiting lines into `batch`.
    pub(super) fn take(&self, batch: &mut Batch) {
        let until = SystemTime::now();
        let mut buffers = lock(&self.buffers);
        for buffer in &*buffers {
            let part = lock(buffer).take(until, &mut batch.spare);
            batch.parts.extend(part);
        }
        // The buffer of an ended thread is removed with its last line.
        buffers.retain(|buffer| Arc::strong_count(buffer) > 1 || !lock(buffer).lines.is_empty());
    }

    /// Clears a batch that was written, or could not be.
    pub(super) fn done(&self, batch: &mut Batch) {
        /// More memory than this is freed.
        const KEPT: usize = 256 * 1024;
        for mut part in batch.parts.drain(..) {
            self.taken.fetch_sub(part.room, Relaxed);
            part.text.clear();
            part.lines.clear();
            if part.text.capacity() <= KEPT && batch.spare.len() < 8 {
                batch.spare.push(Buffer { room: 0, left: 0, ..part });
            }
        }
        batch.order.clear();
        batch.merged.clear();
        batch.merged.shrink_to(KEPT);
    }
}

impl Buffer {
    /// Takes the lines made until `until`; almost always all. Lines left last time are taken
    /// whatever their time: a clock that was set back must not hold up a line.
    fn take(&mut self, until: SystemTime, spare: &mut Vec<Self>) -> Option<Self> {
        let due = self.lines.iter().rposition(|line| line.made <= until).map_or(0, |at| at + 1);
        let due = due.max(mem::take(&mut self.left));
        let later = self.lines.len() - due;
        let Some(end) = self.lines[..due].last().map(|line| line.end) else {
            self.left = later;
            return None;
        };
        let mut rest = spare.pop().unwrap_or_default();
        if let Some(last) = self.lines.last().filter(|_| later > 0) {
            rest.text.extend_from_slice(&self.text[end..last.end]);
            rest.lines.extend(self.lines.drain(due..).map(|it| Line { end: it.end - end, ..it }));
            (rest.room, rest.left) = (rest.text.len(), later);
            self.room -= rest.room;
        }
        self.text.truncate(end);
        Some(mem::replace(self, rest))
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The number of lines.
    pub(super) fn lines(&self) -> usize {
        self.parts.iter().map(|part| part.lines.len()).sum()
    }

    /// The text, with the lines in the order in which they were made.
    pub(super) fn text(&mut self) -> &[u8] {
        if let [only] = &*self.parts {
            return &only.text;
        }
        for (index, part) in self.parts.iter().enumerate() {
            let mut start = 0;
            self.order.extend(
                part.lines
                    .iter()
                    .map(|line| (line.made, index, mem::replace(&mut start, line.end)..line.end)),
            );
        }
        // Stable, and fast for runs that are already sorted.
        self.order.sort_by_key(|(made, ..)| *made);
        for (_, index, range) in self.order.drain(..) {
            self.merged.extend_from_slice(&self.parts[index].text[range]);
        }
        &self.merged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::atomic::AtomicBool, thread, time::Duration};

    fn add(queue: &Queue, buffer: &Mutex<Buffer>, text: &str) {
        queue.add(buffer, |_, out| out.extend_from_slice(text.as_bytes()));
    }

    fn taken(queue: &Queue) -> String {
        let mut batch = Batch::default();
        queue.take(&mut batch);
        let text = String::from_utf8(batch.text().to_vec()).unwrap();
        queue.done(&mut batch);
        text
    }

    #[test]
    fn lines_of_several_threads_keep_the_order_in_which_they_were_made() {
        let queue = Queue::new(1 << 20);
        let buffers = [queue.buffer(), queue.buffer(), queue.buffer()];
        let expected: String = (0..30).map(|number| format!("{number}\n")).collect();
        for (number, line) in expected.lines().enumerate() {
            add(&queue, &buffers[number * 7 % 3], &format!("{line}\n"));
        }
        assert_eq!(taken(&queue), expected);
        assert_eq!(taken(&queue), "");
    }

    /// The writer takes lines while other threads add them: no later line may come before an older
    /// one.
    #[test]
    fn a_line_never_comes_before_an_older_one() {
        let queue = Queue::new(64 << 20);
        let running = AtomicBool::new(true);
        let write = || {
            let buffer = queue.buffer();
            for _ in 0..2_000 {
                queue.add(&buffer, |made, out| {
                    let since = made.duration_since(SystemTime::UNIX_EPOCH).unwrap();
                    out.extend_from_slice(format!("{:030}\n", since.as_nanos()).as_bytes());
                });
            }
        };
        let text = thread::scope(|scope| {
            let writers: Vec<_> = (0..4).map(|_| scope.spawn(write)).collect();
            let reader = scope.spawn(|| {
                let mut text = String::new();
                while running.load(Relaxed) {
                    text.push_str(&taken(&queue));
                }
                text + &taken(&queue) + &taken(&queue)
            });
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            running.store(false, Relaxed);
            reader.join().unwrap()
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 8_000);
        assert!(lines.is_sorted(), "a line overtook another");
        assert_eq!((queue.dropped(), queue.taken.load(Relaxed)), (0, 0));
    }

    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let queue = Queue::new(2 * PIECE);
        let (one, other) = (queue.buffer(), queue.buffer());
        let line = format!("{}\n", "x".repeat(PIECE / 2 - 1));
        for _ in 0..5 {
            add(&queue, &one, &line);
        }
        // The first thread took the other one's share.
        add(&queue, &other, "short\n");
        assert_eq!(queue.dropped(), 2);
        let mut batch = Batch::default();
        queue.take(&mut batch);
        assert_eq!(batch.lines(), 4);
        // It takes room until it is written.
        add(&queue, &one, &line);
        assert_eq!(queue.dropped(), 3);
        queue.done(&mut batch);
        add(&queue, &other, "short\n");
        assert_eq!((taken(&queue), queue.dropped()), ("short\n".to_owned(), 3));
        assert_eq!(queue.taken.load(Relaxed), 0);
    }

    #[test]
    fn a_line_of_the_future_waits_for_one_turn_only() {
        let until = SystemTime::now();
        let line = |later: i64, end| {
            let made = until + Duration::from_secs(later.unsigned_abs());
            Line { made: if later < 0 { until - Duration::from_secs(1) } else { made }, end }
        };
        let mut buffer = Buffer {
            text: b"a\nb\nc\n".to_vec(),
            lines: vec![line(-1, 2), line(0, 4), line(3600, 6)],
            room: 10,
            left: 0,
        };
        let first = buffer.take(until, &mut Vec::new()).unwrap();
        assert_eq!((&*first.text, first.lines.len(), first.room), (&b"a\nb\n"[..], 2, 8));
        assert_eq!((&*buffer.text, buffer.lines[0].end, buffer.room), (&b"c\n"[..], 2, 2));
        let second = buffer.take(until, &mut Vec::new()).unwrap();
        assert_eq!((&*second.text, buffer.lines.len()), (&b"c\n"[..], 0));
    }

    #[test]
    fn a_buffer_is_kept_while_it_has_a_thread_or_lines() {
        let queue = Queue::new(1 << 20);
        let (kept, gone) = (queue.buffer(), queue.buffer());
        add(&queue, &gone, "last words\n");
        drop(gone);
        assert_eq!(taken(&queue), "last words\n");
        assert_eq!(lock(&queue.buffers).len(), 1);
        drop(kept);
        assert_eq!(taken(&queue), "");
        assert_eq!(lock(&queue.buffers).len(), 0);
    }

    #[test]
    fn half_a_line_that_a_panic_left_is_gone() {
        let queue = Queue::new(1 << 20);
        let buffer = queue.buffer();
        add(&queue, &buffer, "whole\n");
        let broken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            queue.add(&buffer, |_, out| {
                out.extend_from_slice(b"half");
                panic!("boom")
            })
        }));
        assert!(broken.is_err());
        add(&queue, &buffer, "next\n");
        assert_eq!(taken(&queue), "whole\nnext\n");
    }
}
