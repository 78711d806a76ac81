//! The network side of a call: the only place that opens connections to upstreams.
//!
//! Each worker thread keeps its own pool, so a call takes no lock and wakes no other thread. What
//! is sent was decided by `provider`; what comes back is given on as it arrives.

mod connect;
mod origin;
mod pool;

pub(crate) use connect::Tls;
pub(crate) use origin::Origin;

use bytes::Bytes;
use futures_util::future::poll_immediate;
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// How long connecting may take, within the call's own timeout.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("`{0}` is no URL of an upstream")]
    BadUrl(String),
    #[error("cannot resolve `{host}`: {source}")]
    Resolve { host: String, source: std::io::Error },
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("no TLS connection to {host}: {reason}")]
    Tls { host: String, reason: String },
    #[error("the connection broke before an answer came: {0}")]
    Broken(String),
    #[error("no answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
}

/// A request body in pieces, sent without joining them.
#[derive(Debug)]
pub(crate) struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|piece| piece.len() as u64).sum())
    }
}

/// An upstream's answer: its head, and a body still arriving on a connection that goes back to the
/// pool by itself when the body has been read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    body: Incoming,
    /// Held until the body is done, so that the connection is not used for two answers at once.
    lease: Option<pool::Lease>,
}

/// Posts `body` to `url`, waiting at most `timeout` for the head of the answer.
pub(crate) async fn post(
    url: &str,
    headers: HeaderMap,
    body: Vec<Bytes>,
    tls: &Tls,
    timeout: Duration,
) -> Result<Answer, UpstreamError> {
    let origin = pool::origin(url).ok_or_else(|| UpstreamError::BadUrl(url.to_owned()))?;
    let sent = send(&origin, headers, body, tls);
    match tokio::time::timeout(timeout, sent).await {
        Ok(answer) => answer,
        Err(_) => Err(UpstreamError::Timeout(timeout)),
    }
}

async fn send(
    origin: &Arc<Origin>,
    headers: HeaderMap,
    body: Vec<Bytes>,
    tls: &Tls,
) -> Result<Answer, UpstreamError> {
    let mut request = request(origin, headers, body);
    // A pooled connection may turn out closed the moment it is used; as long as nothing of the
    // request was taken, the next one is as good.
    while let Some(mut lease) = pool::take(origin) {
        match lease.sender().try_send_request(request).await {
            Ok(response) => return Ok(Answer::new(response, lease)),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(UpstreamError::Broken(describe(error.error()))),
            },
        }
    }
    let connecting = connect::connect(origin, tls);
    let sender = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .unwrap_or(Err(UpstreamError::Timeout(CONNECT_TIMEOUT)))?;
    let mut lease = pool::Lease::new(origin, sender);
    match lease.sender().try_send_request(request).await {
        Ok(response) => Ok(Answer::new(response, lease)),
        Err(error) => Err(UpstreamError::Broken(describe(error.error()))),
    }
}

fn request(origin: &Origin, headers: HeaderMap, body: Vec<Bytes>) -> Request<Pieces> {
    let mut request = Request::new(Pieces(body.into()));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = origin.path().clone();
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, origin.host().clone());
    request
}

impl Answer {
    fn new(response: Response<Incoming>, lease: pool::Lease) -> Self {
        let (head, body) = response.into_parts();
        let keep = !closes(&head.headers);
        let (status, headers) = (head.status.as_u16(), head.headers);
        Self { status, headers, body, lease: keep.then_some(lease) }
    }

    /// The next piece of the body; `None` at its end.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, UpstreamError>> {
        loop {
            let frame = self.body.frame().await;
            if let Some(data) = self.taken(frame) {
                return data;
            }
        }
    }

    /// As [`Answer::next`], for what has already arrived: `None` when nothing has.
    pub(crate) async fn ready(&mut self) -> Option<Option<Result<Bytes, UpstreamError>>> {
        loop {
            let frame = poll_immediate(self.body.frame()).await?;
            if let Some(data) = self.taken(frame) {
                return Some(data);
            }
        }
    }

    /// Data, an error or the end out of a frame; `None` for trailers.
    fn taken(
        &mut self,
        frame: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Option<Result<Bytes, UpstreamError>>> {
        Some(match frame {
            Some(Ok(frame)) => Some(Ok(frame.into_data().ok()?)),
            Some(Err(error)) => Some(Err(UpstreamError::Broken(describe(&error)))),
            None => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
                None
            }
        })
    }
}

fn closes(headers: &HeaderMap) -> bool {
    headers.get(header::CONNECTION).is_some_and(|value: &HeaderValue| {
        value.to_str().is_ok_and(|value| value.eq_ignore_ascii_case("close"))
    })
}

/// hyper's message with its cause: "connection reset by peer" is what an operator can act on.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
