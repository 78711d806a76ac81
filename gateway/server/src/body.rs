//! Reading a request body within its bounds, scanned while it arrives.

use super::{
    RequestBody,
    connection_timer::ConnectionTimer,
    decode::Pieces,
    inflight::{InFlight, Share},
};
use axum::http::{HeaderMap, HeaderValue, header};
use callgate_config::Limits;
use callgate_failure::Failure;
use callgate_json::{Body, BodyError, IncomingBody};
use hyper::body::Body as HttpBody;
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Instant,
};
use tokio::task::yield_now;

/// How much is scanned before others have their turn.
const STRETCH: usize = 64 * 1024;

/// The body as a scanned JSON object, and how many bytes of it are in flight from here on.
pub(super) async fn body(
    headers: &HeaderMap,
    body: &mut RequestBody,
    (limits, in_flight): (&Limits, &InFlight),
    (timer, accepted): (&ConnectionTimer, Instant),
) -> Result<(Body, usize), Failure> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|len| len > limits.max_body_bytes as u64) {
        return Err(Failure::body_too_large(limits.max_body_bytes));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok());
    let mut share = in_flight.share();
    share.announce(announced.unwrap_or_default())?;
    let end = accepted.checked_add(limits.body_timeout);
    let mut pieces = Pieces::of(headers, body, limits.max_body_bytes)?;
    let read = {
        let collecting = collect(&mut pieces, announced, limits.max_body_bytes, &mut share);
        timer.until(end, pin!(collecting)).await
    };
    match read {
        Some(read) => {
            let body = read?;
            let kept = share.keep(body.len());
            Ok((body, kept))
        }
        None if timer.is_cut() => Err(Failure::shutting_down()),
        None => Err(Failure::body_too_slow(limits.body_timeout)),
    }
}

async fn collect(
    pieces: &mut Pieces<'_>,
    announced: Option<usize>,
    max: usize,
    share: &mut Share<'_>,
) -> Result<Body, Failure> {
    let (mut arriving, mut length, mut at_a_stretch) = (IncomingBody::announced(announced), 0, 0);
    while let Some(data) = pieces.next().await {
        let data = data?;
        length += data.len();
        if length > max {
            return Err(Failure::body_too_large(max));
        }
        share.reach(length, announced.unwrap_or(max))?;
        at_a_stretch += data.len();
        arriving.push(data).map_err(|error| Failure::not_json(&error))?;
        // What arrives as fast as it is read would keep all other calls of this thread waiting.
        if at_a_stretch > STRETCH {
            at_a_stretch = 0;
            yield_now().await;
        }
    }
    arriving.finish().map_err(|error| match error {
        BodyError::NotJson(error) => Failure::not_json(&error),
        error => Failure::unfit_body(&error),
    })
}

/// How often a refused body is looked at: what came with the head takes two turns to be handed
/// over.
const TURNS: usize = 3;

/// Ends a request that is refused before its body was read. Where the body is here already, the
/// connection can be used again; else it will be closed, and `answer` says so.
pub(super) async fn end<B: HttpBody + Unpin>(
    request: &HeaderMap,
    body: &mut B,
    answer: &mut HeaderMap,
) {
    // To look at a body that the client holds back would ask for it.
    let turns = if request.contains_key(header::EXPECT) { 0 } else { TURNS };
    for _ in 0..turns {
        if body.is_end_stream() {
            return;
        }
        let frame = poll_fn(|context| Poll::Ready(Pin::new(&mut *body).poll_frame(context))).await;
        match frame {
            Poll::Ready(None) => return,
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(Some(Err(_))) => break,
            Poll::Pending => yield_now().await,
        }
    }
    answer.insert(header::CONNECTION, HeaderValue::from_static("close"));
}
