//! The pieces of a request body as they arrive, decompressed if the client compressed it.

use super::RequestBody;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use callgate_coding::Decoder;
use callgate_failure::Failure;
use http_body_util::BodyExt as _;
use std::{error::Error, io};
use tokio::task::coop::consume_budget;

/// Reads a body piece by piece.
pub(super) struct Pieces<'a> {
    body: &'a mut RequestBody,
    decoder: Option<Box<Decoder>>,
    /// The limit on the body, both compressed and decompressed.
    max: usize,
    arrived: usize,
}

impl<'a> Pieces<'a> {
    /// The pieces of `body`; fails for a compression the gateway does not know.
    pub(super) fn of(
        headers: &HeaderMap,
        body: &'a mut RequestBody,
        max: usize,
    ) -> Result<Self, Failure> {
        let codings = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        let decoder = Decoder::of(codings).map_err(|error| Failure::body_coding(&error))?;
        Ok(Self { body, decoder: decoder.map(Box::new), max, arrived: 0 })
    }

    /// The next piece, decompressed. The caller bounds the total.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        if self.decoder.is_some() {
            // Boxed, because it is rare and every call's future would have room for it.
            return Box::pin(self.decoded()).await.transpose();
        }
        self.arriving().await
    }

    async fn arriving(&mut self) -> Option<Result<Bytes, Failure>> {
        loop {
            let data = match self.body.frame().await? {
                Ok(frame) => frame.into_data(),
                Err(error) => {
                    return Some(Err(broken_off(&error)));
                }
            };
            if let Ok(data) = data {
                return Some(Ok(data));
            }
        }
    }

    async fn decoded(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            if let Some(piece) =
                decoder.next_piece().map_err(|error| Failure::miscoded_body(&error))?
            {
                // A few compressed bytes may expand to very many without a wait, so other tasks get
                // a turn here.
                consume_budget().await;
                return Ok(Some(piece));
            }
            let arrived = self.arriving().await.transpose()?;
            let Some(decoder) = &mut self.decoder else { return Ok(None) };
            let Some(data) = arrived else {
                return decoder
                    .finish()
                    .map(|()| None)
                    .map_err(|error| Failure::miscoded_body(&error));
            };
            self.arrived += data.len();
            if self.arrived > self.max {
                return Err(Failure::body_too_large(self.max));
            }
            decoder.feed(data);
        }
    }
}

/// The failure for a body that cannot be read: bad framing is the client's error, anything else
/// means the client left.
fn broken_off(error: &(dyn Error + 'static)) -> Failure {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let kind = causes.find_map(|error| Some(error.downcast_ref::<io::Error>()?.kind()));
    let failure = match kind {
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Failure::body_framing(),
        _ => Failure::client_gone(),
    };
    failure.cause(error.to_string())
}
