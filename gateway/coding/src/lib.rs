//! Content codings (RFC 9110, section 8.4): decompresses bodies of clients and upstreams.
//!
//! Pieces are decoded on demand, one at a time. So the limit on the decompressed size holds: a few
//! bytes that expand to gigabytes cost only the part that was read.

#![forbid(unsafe_code)]

mod zstd_header;

use bytes::{Buf as _, Bytes};
use compression_codecs::{
    BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
    core::util::{PartialBuffer, WriteBuffer},
    zstd::params::DParameter,
};
use std::{fmt, io};

/// The supported codings, for `Accept-Encoding`.
pub const DECODED: &str = "gzip, deflate, br, zstd";

/// The largest decoded piece.
const PIECE: usize = 16 * 1024;

/// Zstandard's window, as a power of two: 8 MiB, the most that RFC 9659 allows in HTTP.
const ZSTD_WINDOW: u32 = 23;

/// This many concatenated parts are allowed; further ones need enough input, because starting a
/// part costs more than a few bytes do.
const FREE_PARTS: usize = 64;
const BYTES_OF_A_PART: usize = 256;

/// The most characters of an unknown name that are shown.
const SHOWN: usize = 40;

/// The coding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// Why a body cannot be decoded; the texts follow "answered with" or "the request body has".
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
    #[error("extra bytes after the end of its {0} data")]
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
    /// The coding in the values of `Content-Encoding`; `None` if there is none. Nested codings are
    /// refused, because the limit on the final size would not limit the data in between.
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

    /// Takes the rest out of `codec`; returns whether it ended, as far as the codec can tell.
    fn drain(
        self,
        codec: &mut (dyn DecodeV2 + Send),
        output: &mut WriteBuffer<'_>,
    ) -> io::Result<bool> {
        match self {
            // Some codecs fail if there is nothing left to decode.
            Self::Gzip | Self::Deflate => codec.flush(output).map(|_| false),
            Self::Brotli | Self::Zstd => codec.decode(&mut PartialBuffer::new(&[]), output),
        }
    }

    fn codec(self, first: u8) -> Box<dyn DecodeV2 + Send> {
        match self {
            Self::Gzip => Box::new(GzipDecoder::new()),
            // The name means the zlib format. Some servers send raw deflate data, whose first byte
            // no zlib encoder produces.
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

/// Decompresses one body.
pub struct Decoder {
    coding: Coding,
    /// `None` before the first byte.
    codec: Option<Box<dyn DecodeV2 + Send>>,
    /// Input that is not decoded yet.
    input: Bytes,
    piece: Vec<u8>,
    /// The last piece was full, so more may come without further input.
    full: bool,
    /// The number of decoded bytes of the input. The rest may already be here or not, depending on
    /// the network.
    used: usize,
    parts: usize,
    /// The coding's own end was reached.
    ended: bool,
    /// No byte of the current part was decoded.
    begins: bool,
    /// The beginning of a header that is not complete yet.
    header: Vec<u8>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("coding", &self.coding).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder for the values of `Content-Encoding`; `None` if the body is not compressed.
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
            begins: true,
            header: Vec::new(),
        };
        Ok(Coding::of(values)?.map(new))
    }

    /// Adds input, once [`Decoder::next_piece`] has used up the earlier input.
    pub fn feed(&mut self, bytes: Bytes) {
        if let Some(first) = bytes.first() {
            self.codec.get_or_insert_with(|| self.coding.codec(*first));
        }
        self.input = match self.header.is_empty() {
            true => bytes,
            false => [&*std::mem::take(&mut self.header), &bytes].concat().into(),
        };
    }

    /// The next piece, at most 16 KiB; `None` if it needs more input.
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
                    (self.ended, self.begins) = (false, true);
                }
                let mut fed = self.input.len();
                if self.begins && self.coding == Coding::Zstd {
                    let Some(length) = zstd_header::length(&self.input) else {
                        self.header = std::mem::take(&mut self.input).into();
                        return Ok(None);
                    };
                    fed = length;
                }
                self.begins = false;
                let mut input = PartialBuffer::new(&self.input[..fed]);
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

    /// Whether the body was complete; call it after the last input. A body without any bytes is
    /// empty.
    pub fn finish(&mut self) -> Result<(), CodingError> {
        let Some(codec) = &mut self.codec else { return Ok(()) };
        // The end may have been drained unnoticed. The other codings have a trailer.
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
