//! Decompresses bodies, for fuzz targets.

use super::{Decoder, PIECE};
use bytes::Bytes;

/// The decompressed bytes of a body that arrives in these pieces, at most `most`.
///
/// # Errors
/// If it cannot be decoded, or is too large.
///
/// # Panics
/// If a decoded piece is larger than allowed.
pub fn decode(coding: &[u8], pieces: &[&[u8]], most: usize) -> Result<Vec<u8>, String> {
    let decoder = Decoder::of([coding].into_iter()).map_err(|error| error.to_string())?;
    let Some(mut decoder) = decoder else { return Ok(pieces.concat()) };
    let mut plain = Vec::new();
    for piece in pieces {
        decoder.feed(Bytes::copy_from_slice(piece));
        while let Some(decoded) = decoder.next_piece().map_err(|error| error.to_string())? {
            assert!(decoded.len() <= PIECE, "a piece of {} bytes", decoded.len());
            if plain.len() + decoded.len() > most {
                return Err("too large".to_owned());
            }
            plain.extend_from_slice(&decoded);
        }
    }
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(plain)
}
