//! Content codings (RFC 9110, section 8.4): bodies that came compressed become plain again, those
//! of clients and those of upstreams.
//!
//! Pieces are decoded as they are asked for, and no more than one is there at a time. So the bound
//! on the plain size holds: a few bytes that unfold to gigabytes cost what was taken of them.

#![forbid(unsafe_code)]

use bytes::{Buf as _, Bytes};
use compression_codecs::{
    BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
    core::util::{PartialBuffer, WriteBuffer},
    zstd::params::DParameter,
};
use std::{fmt, io};

/// What is decoded, as `Accept-Encoding` has it.
pub const DECODED: &str = "gzip, deflate, br, zstd";

/// The size of a decoded piece, at most.
const PIECE: usize = 16 * 1024;

/// Zstandard's window, as a power of two: 8 MiB, the most that RFC 9659 allows in HTTP.
const ZSTD_WINDOW: u32 = 23;

/// A part that follows another has to account for itself: to begin one costs more than a few bytes
/// do.
const FREE_PARTS: usize = 64;
const BYTES_OF_A_PART: usize = 256;

/// How much of a foreign name is shown.
const SHOWN: usize = 40;

/// A coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why a body cannot be decoded; each follows "answered with" or "the request body has".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodingError {
    #[error(
        "the content coding `{0}`, which this gateway does not decode: it takes one of {DECODED}, \
         or none"
    )]
    Unsupported(String),
    #[error("data that is not valid {0}")]
    Corrupt(Coding),
    #[error("{0} data that ends too soon")]
    Truncated(Coding),
    #[error("something behind the end of its {0} data")]
    Trailing(Coding),
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        })
    }
}

impl Coding {
    /// What the values of `Content-Encoding` name; `None` for no coding. Codings one over another
    /// are refused: the bound on the plain size would not bound what lies between them.
    fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, CodingError> {
        let mut found = None;
        let names = values.flat_map(|value| value.split(|byte| *byte == b','));
        for name in names.map(<[u8]>::trim_ascii) {
            let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
            if name.is_empty() || is("identity") {
                continue;
            }
            let coding = match () {
                () if is("gzip") || is("x-gzip") => Self::Gzip,
                () if is("deflate") => Self::Deflate,
                () if is("br") => Self::Brotli,
                () if is("zstd") => Self::Zstd,
                () => {
                    let shown = String::from_utf8_lossy(&name[..name.len().min(SHOWN)]);
                    return Err(CodingError::Unsupported(shown.escape_debug().to_string()));
                }
            };
            if let Some(first) = found.replace(coding) {
                return Err(CodingError::Unsupported(format!("{first}, {coding}")));
            }
        }
        Ok(found)
    }

    /// Whether one part may follow another.
    fn has_parts(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }

    /// Takes what is left within `codec`; whether that was the end, as far as it can say.
    fn drain(
        self,
        codec: &mut (dyn DecodeV2 + Send),
        output: &mut WriteBuffer<'_>,
    ) -> io::Result<bool> {
        match self {
            // To decode nothing is an error there where nothing is left.
            Self::Gzip | Self::Deflate => codec.flush(output).map(|_| false),
            Self::Brotli | Self::Zstd => codec.decode(&mut PartialBuffer::new(&[]), output),
        }
    }

    fn codec(self, first: u8) -> Box<dyn DecodeV2 + Send> {
        match self {
            Self::Gzip => Box::new(GzipDecoder::new()),
            // The name means the zlib format; some send what is within it alone, where no encoder's
            // first byte looks so.
            Self::Deflate if first & 0x8f == 8 => Box::new(ZlibDecoder::new()),
            Self::Deflate => Box::new(DeflateDecoder::new()),
            Self::Brotli => Box::new(BrotliDecoder::new()),
            Self::Zstd => {
                let window = DParameter::window_log_max(ZSTD_WINDOW);
                Box::new(ZstdDecoder::new_with_params(&[window]))
            }
        }
    }
}

/// A body on its way from its coding to plain bytes.
pub struct Decoder {
    coding: Coding,
    /// `None` before the first byte.
    codec: Option<Box<dyn DecodeV2 + Send>>,
    /// What was fed and not yet decoded.
    input: Bytes,
    piece: Vec<u8>,
    /// The last piece was full, so there may be more without further input.
    full: bool,
    /// How much was decoded. What of the rest is there already depends on the network.
    used: usize,
    parts: usize,
    /// The coding says that this was all.
    ended: bool,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Decoder {
    /// One for the values of `Content-Encoding`; `None` for what is plain already.
    pub fn of<'a>(values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, CodingError> {
        let new = |coding| Self {
            coding,
            codec: None,
            input: Bytes::new(),
            piece: vec![0; PIECE],
            full: false,
            used: 0,
            parts: 0,
            ended: false,
        };
        Ok(Coding::of(values)?.map(new))
    }

    /// Adds what arrived, once [`Decoder::next_piece`] has used up what came before.
    pub fn feed(&mut self, bytes: Bytes) {
        if let Some(first) = bytes.first() {
            self.codec.get_or_insert_with(|| self.coding.codec(*first));
        }
        self.input = bytes;
    }

    /// The next piece, at most 16 KiB long; `None` when more has to be fed.
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, CodingError> {
        let corrupt = CodingError::Corrupt(self.coding);
        let Some(codec) = &mut self.codec else { return Ok(None) };
        while !self.input.is_empty() || self.full {
            let mut output = WriteBuffer::new_initialized(&mut self.piece);
            let mut used = 0;
            if self.input.is_empty() {
                self.ended =
                    self.coding.drain(&mut **codec, &mut output).map_err(|_| corrupt.clone())?;
            } else {
                if self.ended {
                    if !self.coding.has_parts() {
                        return Err(CodingError::Trailing(self.coding));
                    }
                    self.parts += 1;
                    if self.parts > FREE_PARTS + self.used / BYTES_OF_A_PART {
                        return Err(corrupt);
                    }
                    codec.reinit().map_err(|_| corrupt.clone())?;
                }
                let mut input = PartialBuffer::new(&self.input[..]);
                let decoded = codec.decode(&mut input, &mut output);
                self.ended = decoded.map_err(|_| corrupt.clone())?;
                used = input.written_len();
                if used == 0 && output.written_len() == 0 && !self.ended {
                    return Err(corrupt);
                }
            }
            self.full = output.has_no_spare_space() && !self.ended;
            let length = output.written_len();
            self.input.advance(used);
            self.used += used;
            if length > 0 {
                return Ok(Some(Bytes::copy_from_slice(&self.piece[..length])));
            }
        }
        Ok(None)
    }

    /// Whether the body was whole, when no more will come. One without a byte is an empty one.
    pub fn finish(&mut self) -> Result<(), CodingError> {
        let Some(codec) = &mut self.codec else { return Ok(()) };
        // The end may have been drained, unseen. The other codings have something behind it.
        let mut output = WriteBuffer::new_initialized(&mut self.piece);
        let mut drained =
            || self.coding == Coding::Deflate && matches!(codec.finish(&mut output), Ok(true));
        if self.ended || drained() {
            return Ok(());
        }
        Err(CodingError::Truncated(self.coding))
    }
}

#[cfg(feature = "fuzzing")]
pub mod fuzzing;
#[cfg(test)]
mod tests;
