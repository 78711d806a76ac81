//! Keeps the bytes of an upload: a little in memory, more in a file that has no name and ends with
//! the call. Reading and writing the file happens on other threads, because a disk may be slow.

use bytes::{Bytes, BytesMut};
use callgate_failure::Failure;
use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    sync::Arc,
};
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// The most bytes in memory before they are written.
const IN_MEMORY: usize = 512 * 1024;

/// The bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// Bytes in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Spool {
    /// The bytes that are in no file yet.
    unwritten: Vec<Bytes>,
    unwritten_length: usize,
    /// The bytes in the file come first.
    file: Option<(Arc<File>, u64)>,
}

impl Spool {
    /// The number of bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.written() + self.unwritten_length as u64
    }

    fn written(&self) -> u64 {
        self.file.as_ref().map_or(0, |(_, written)| *written)
    }

    pub(super) async fn push(&mut self, bytes: Bytes) -> Result<(), Failure> {
        self.unwritten_length += bytes.len();
        self.unwritten.push(bytes);
        if self.unwritten_length > IN_MEMORY {
            self.write().await.map_err(|error| Failure::upload_not_kept(&error))?;
        }
        Ok(())
    }

    async fn write(&mut self) -> io::Result<()> {
        let (file, at) = match self.file.take() {
            Some((file, written)) => (file, written),
            None => (Arc::new(spawn_blocking(nameless_file).await??), 0),
        };
        let pieces = std::mem::take(&mut self.unwritten);
        let length = std::mem::take(&mut self.unwritten_length) as u64;
        self.file = Some((Arc::clone(&file), at + length));
        let write = move || {
            let mut at = at;
            for piece in pieces {
                file.write_all_at(&piece, at)?;
                at += piece.len() as u64;
            }
            Ok(())
        };
        spawn_blocking(write).await?
    }

    /// The first bytes of `range`, at most a block.
    pub(super) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let length = usize::try_from(range.end - range.start).unwrap_or(BLOCK).min(BLOCK);
        let written = self.written();
        if let Some((file, _)) = self.file.as_ref().filter(|_| range.start < written) {
            let length = length.min(usize::try_from(written - range.start).unwrap_or(BLOCK));
            let (file, at) = (Arc::clone(file), range.start);
            let read = move || {
                let mut block = BytesMut::zeroed(length);
                file.read_exact_at(&mut block, at)?;
                Ok(block.freeze())
            };
            return spawn_blocking(read).await?;
        }
        let mut start = usize::try_from(range.start - written).unwrap_or(usize::MAX);
        for piece in &self.unwritten {
            if start < piece.len() {
                return Ok(piece.slice(start..piece.len().min(start + length)));
            }
            start -= piece.len();
        }
        Ok(Bytes::new())
    }
}

/// A file that nobody else can open, and that is gone with its last user.
fn nameless_file() -> io::Result<File> {
    let path = std::env::temp_dir()
        .join(format!("callgate-upload-{}", Uuid::from_u128(fastrand::u128(..))));
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(spool: &Spool, range: Range<u64>) -> Vec<u8> {
        let (mut all, mut at) = (Vec::new(), range.start);
        while at < range.end {
            let bytes = spool.read(at..range.end).await.unwrap();
            assert!(!bytes.is_empty() && bytes.len() <= BLOCK);
            at += bytes.len() as u64;
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[tokio::test]
    async fn what_was_kept_is_read_in_any_range() {
        for pieces in [1, 20, 200] {
            let mut spool = Spool::default();
            let mut all = Vec::new();
            for piece in 0..pieces {
                let bytes = vec![piece as u8; 10_007];
                all.extend_from_slice(&bytes);
                spool.push(bytes.into()).await.unwrap();
            }
            assert_eq!(spool.len(), all.len() as u64);
            assert!(spool.unwritten_length <= IN_MEMORY);
            assert_eq!(spool.file.is_some(), pieces == 200);
            for (start, end) in [(0, all.len()), (1, 2), (all.len() / 3, all.len() - 1)] {
                let found = read_all(&spool, start as u64..end as u64).await;
                assert!(found == all[start..end], "{pieces} {start}..{end}");
            }
        }
    }
}
