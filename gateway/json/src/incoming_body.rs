//! A body as it arrives: scanned at once, and kept in few pieces.
//!
//! Thousands of small pieces would slow down every lookup of a name, and the allocator would keep
//! their memory. So small pieces are joined, and a large body is assembled in its own pages, which
//! go back to the system afterwards. A body that arrives in one piece is never copied.

use super::{
    body::{Body, BodyError},
    joined::Slices,
    scan::{ScanError, Scanner},
};
use bytes::{Bytes, BytesMut};
use memmap2::{MmapMut, MmapOptions};

/// The length from which a body is assembled in pages.
const SMALL: usize = 1024 * 1024;

/// A piece of this length or more is kept without a copy.
const PIECE: usize = 4096;

/// Smaller pieces are joined up to this length; also the number of bytes of a large body that are
/// scanned at a time.
const JOINED: usize = 64 * 1024;

/// The pages reserved at first if the length is unknown.
const SEGMENT: usize = 4 * 1024 * 1024;

/// Collects and scans a body.
#[derive(Debug)]
pub struct IncomingBody {
    scanner: Scanner,
    chunks: Slices,
    /// Small pieces being joined, not scanned yet.
    open: BytesMut,
    pages: Option<Pages>,
    len: usize,
    /// The announced length.
    announced: Option<usize>,
    /// Why it is not JSON. Later bytes are kept, but not scanned.
    failed: Option<ScanError>,
}

/// Pages for one body.
#[derive(Debug)]
struct Pages {
    memory: MmapMut,
    filled: usize,
    scanned: usize,
}

impl IncomingBody {
    /// `length` is the announced length, if any; pages for it are reserved at once.
    pub fn announced(length: Option<usize>) -> Self {
        Self {
            scanner: Scanner::new(),
            chunks: Slices::new(),
            open: BytesMut::new(),
            pages: None,
            len: 0,
            announced: length,
            failed: None,
        }
    }

    /// The same for an upstream's body.
    pub fn of_upstream(length: Option<usize>) -> Self {
        Self { scanner: Scanner::of_upstream(), ..Self::announced(length) }
    }

    pub fn push(&mut self, chunk: Bytes) -> Result<(), ScanError> {
        self.len += chunk.len();
        if self.pages.is_none() && self.len > SMALL {
            self.take_pages();
        }
        if let Some(pages) = &mut self.pages {
            pages.add(&chunk);
            return if pages.filled - pages.scanned < JOINED { Ok(()) } else { self.scan_pages() };
        }
        if chunk.len() < PIECE && !self.chunks.is_empty() {
            self.open.extend_from_slice(&chunk);
            return if self.open.len() < JOINED { Ok(()) } else { self.close() };
        }
        let closed = self.close();
        let scanned = closed.and_then(|()| self.scanner.feed(&chunk));
        self.chunks.push(chunk);
        self.note(scanned)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn finish(self) -> Result<Body, BodyError> {
        self.finish_or_give_back().map_err(|(error, _)| error)
    }

    /// Returns the body. Bytes that are not a JSON object come back unchanged, with the reason.
    pub fn finish_or_give_back(mut self) -> Result<Body, (BodyError, Slices)> {
        let scanned = self.close().and_then(|()| self.scan_pages());
        let chunks = match self.pages {
            Some(pages) => Slices::from_buf([pages.finish()]),
            None => self.chunks,
        };
        match scanned.and_then(|()| self.scanner.finish()) {
            Ok(members) => Body::scanned(chunks, self.len, &members),
            Err(error) => Err((error.into(), chunks)),
        }
    }

    /// Records that a scan failed, so that later bytes are not scanned.
    fn note(&mut self, scanned: Result<(), ScanError>) -> Result<(), ScanError> {
        self.failed = scanned.err();
        scanned
    }

    /// Scans and keeps the joined bytes.
    fn close(&mut self) -> Result<(), ScanError> {
        if self.open.is_empty() {
            return self.failed.map_or(Ok(()), Err);
        }
        let joined = std::mem::take(&mut self.open).freeze();
        let scanned = match self.failed {
            Some(error) => Err(error),
            None => self.scanner.feed(&joined),
        };
        self.chunks.push(joined);
        self.note(scanned)
    }

    /// Moves the bytes to their own pages. If there are none, ordinary memory stays in use.
    fn take_pages(&mut self) {
        let scanned = self.chunks.iter().map(Bytes::len).sum();
        let room = self.announced.unwrap_or(SEGMENT).max(self.len);
        let Some(mut pages) = Pages::new(room) else { return };
        self.chunks.iter().for_each(|chunk| pages.add(chunk));
        pages.add(&self.open);
        pages.scanned = scanned;
        self.chunks.clear();
        self.open = BytesMut::new();
        self.pages = Some(pages);
    }

    fn scan_pages(&mut self) -> Result<(), ScanError> {
        let Some(pages) = &mut self.pages else { return Ok(()) };
        let new = pages.scanned..pages.filled;
        pages.scanned = pages.filled;
        let scanned = match self.failed {
            Some(error) => Err(error),
            None => self.scanner.feed(&pages.memory[new]),
        };
        self.note(scanned)
    }
}

impl Pages {
    fn new(room: usize) -> Option<Self> {
        let memory = MmapOptions::new().len(room).no_reserve_swap().map_anon().ok()?;
        Some(Self { memory, filled: 0, scanned: 0 })
    }

    fn add(&mut self, bytes: &[u8]) {
        let end = self.filled + bytes.len();
        if end > self.memory.len() {
            self.grow(end);
        }
        self.memory[self.filled..end].copy_from_slice(bytes);
        self.filled = end;
    }

    /// At least doubles the room, so that all copies together are no more than the body.
    #[expect(clippy::panic, reason = "as the allocator does when there is no memory")]
    fn grow(&mut self, needed: usize) {
        let Some(mut larger) = Self::new(needed.max(self.memory.len() * 2)) else {
            panic!("no memory for a body of {needed} bytes");
        };
        larger.add(&self.memory[..self.filled]);
        larger.scanned = self.scanned;
        *self = larger;
    }

    fn finish(self) -> Bytes {
        Bytes::from_owner(self.memory).slice(..self.filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(body: &[u8], piece: usize, announced: Option<usize>) -> Body {
        let mut arriving = IncomingBody::announced(announced);
        for piece in body.chunks(piece) {
            arriving.push(Bytes::copy_from_slice(piece)).unwrap();
        }
        arriving.finish().unwrap()
    }

    #[test]
    fn a_body_is_the_same_whatever_its_size_and_pieces() {
        for (length, piece) in
            [(20, 3), (90_000, 1), (SMALL, 1000), (SMALL + 1, 70_000), (10_000_000, 16_384)]
        {
            let text: String =
                (0..length - 8).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
            let json = format!("{{\"a\":\"{text}\"}}");
            for announced in [None, Some(json.len())] {
                let body = arrived(json.as_bytes(), piece, announced);
                assert_eq!(body.len(), json.len());
                assert!(body.rendered() == json, "{length} in pieces of {piece}");
                assert_eq!(body.member("a").unwrap().len(), text.len() + 2);
            }
        }
    }

    #[test]
    fn pieces_are_few_however_small_they_came() {
        let members: Vec<_> = (0..4000).map(|at| format!("\"member{at}\":{at}")).collect();
        let json = format!("{{{}}}", members.join(","));
        for piece in [1, 7, 4095, 4096, 5000] {
            let body = arrived(json.as_bytes(), piece, None);
            assert_eq!(body.render().len(), 1, "{piece}");
            assert_eq!(body.member("member3999").as_deref(), Some(&b"3999"[..]));
        }
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(500_000));
        assert!(arrived(text.as_bytes(), 1, None).render().len() <= 16);
    }
}
