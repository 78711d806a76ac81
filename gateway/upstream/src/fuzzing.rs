//! An upstream's answer as bytes, for fuzz targets.

use super::{framing::BodyStep, head::IncomingHead};
use bytes::BytesMut;

/// An answer as it was understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// Its status.
    pub status: u16,
    /// Whether its connection may be used again.
    pub keep: bool,
    /// Its body.
    pub body: Vec<u8>,
    /// What was read and is not part of it.
    pub behind: usize,
}

/// Reads the answer that comes in these pieces before the upstream closes.
///
/// # Errors
/// When it is none, or not all of it came.
pub fn answer(pieces: &[&[u8]]) -> Result<Read, String> {
    let mut pieces = pieces.iter();
    let (mut buffer, mut incoming) = (BytesMut::new(), IncomingHead::default());
    let head = loop {
        if let Some(head) = incoming.take(&mut buffer).map_err(|error| error.to_string())? {
            break head;
        }
        let piece = pieces.next().ok_or("closed within the head")?;
        buffer.extend_from_slice(piece);
    };
    let (mut framing, mut body) = (head.framing, Vec::new());
    loop {
        match framing.step(&mut buffer) {
            BodyStep::Data(data) => body.extend_from_slice(&data),
            BodyStep::End => break,
            BodyStep::Invalid(what) => return Err(what.to_owned()),
            BodyStep::More => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None if framing.ends_by_close() => break,
                None => return Err("closed within the body".to_owned()),
            },
        }
    }
    let behind = buffer.len() + pieces.map(|piece| piece.len()).sum::<usize>();
    Ok(Read { status: head.status, keep: head.keep, body, behind })
}
