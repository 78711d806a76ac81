//! Reads a request body within its limits and scans it while it arrives.

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

/// The number of bytes scanned before other tasks have their turn.
const STRETCH: usize = 64 * 1024;

/// Returns the body as a scanned JSON object, and its share of the bytes in flight.
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
        // Without a yield, a body that arrives as fast as it is read would hold up all other calls
        // of this thread.
        if at_a_stretch > STRETCH {
            at_a_stretch = 0;
            yield_now().await;
        }
    }
    arriving.finish().map_err(unfit)
}

/// The failure of a call whose whole body is not usable.
pub(super) fn unfit(error: BodyError) -> Failure {
    match error {
        BodyError::NotJson(error) => Failure::not_json(&error),
        error => Failure::unfit_body(&error),
    }
}

/// The number of attempts to read a refused body: bytes that came with the head arrive after two.
const TURNS: usize = 3;

/// Ends a request that was refused before its body was read. If the body has arrived already, the
/// connection can be used again; otherwise `answer` announces that it closes.
pub(super) async fn end<B: HttpBody + Unpin>(
    request: &HeaderMap,
    body: &mut B,
    answer: &mut HeaderMap,
) {
    // Polling a body that the client holds back (`Expect: 100-continue`) would ask for it.
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
