//! Reads an upstream's response from bytes, and an operator's certificates, for fuzz targets.

use super::{ClientCertificate, authorities, framing::BodyStep, head::IncomingHead, tls};
use bytes::BytesMut;
use std::time::SystemTime;

/// A response as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// Its status.
    pub status: u16,
    /// Whether its connection may be reused.
    pub keep: bool,
    /// Its body.
    pub body: Vec<u8>,
    /// The number of bytes read beyond it.
    pub behind: usize,
}

/// Reads the response that arrives in these pieces before the upstream closes.
///
/// # Errors
/// If it is not a response, or is incomplete.
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

/// Reads a file of certificates and their keys in each way, and then as one certificate.
pub fn certificates(file: &[u8]) {
    let now = SystemTime::UNIX_EPOCH;
    let _ = (authorities(file, now), ClientCertificate::read(file, file, now));
    tls::read_validity(file);
}
