//! Reads the body of a JSON reply whole, within limits on size and time, and scans it while it
//! arrives.

use super::connection_timer::ConnectionTimer;
use bytes::Bytes;
use callgate_json::{Body, BodyError, IncomingBody, joined, lines::Leading};
use callgate_upstream::{UpstreamError, UpstreamResponse};
use std::time::Instant;
use tokio::task::yield_now;

/// The number of bytes scanned before other tasks have their turn.
const STRETCH: usize = 64 * 1024;

/// The number of bytes kept of a body that is translated as a stream: enough to describe it in an
/// error.
const KEPT: usize = 1024 * 1024;

/// Why the body could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    TooLarge,
    TooLate,
    Broken(UpstreamError),
}

/// A whole body, without a byte order mark and leading blanks.
#[derive(Debug)]
pub(super) enum Whole {
    Empty,
    Json(Body),
    Other(BodyError, Bytes),
}

/// Reads a body to its end. `is_all` gets the pieces of a body that may be a stream and reports
/// where it ends, because the connection may stay open. A JSON document has no such end: bytes that
/// its framing adds could make it invalid, so the body is read until the framing ends or the time
/// is up.
pub(super) async fn read(
    answer: &mut UpstreamResponse,
    (timer, end): (&ConnectionTimer, Option<Instant>),
    limit: usize,
    mut is_all: impl FnMut(&[u8]) -> bool,
) -> Result<Whole, Unread> {
    let announced = answer.announced();
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(Unread::TooLarge);
    }
    let mut gathered = Gathered::new(announced.and_then(|length| usize::try_from(length).ok()));
    let (mut length, mut at_a_stretch, mut may_stream) = (0, 0, None);
    while let Some(next) = timer.until(end, answer.next()).await.ok_or(Unread::TooLate)? {
        let piece = next.map_err(Unread::Broken)?;
        length += piece.len();
        if length > limit {
            return Err(Unread::TooLarge);
        }
        if may_stream != Some(true) || gathered.is_wanted() {
            gathered.add(&piece);
        }
        // A body of known length needs no other end.
        if announced.is_none()
            && *may_stream.get_or_insert_with(|| is_stream(answer, &piece))
            && is_all(&piece)
        {
            break;
        }
        at_a_stretch += piece.len();
        // Without a yield, a body that arrives as fast as it is read would hold up all other calls
        // of this thread.
        if at_a_stretch > STRETCH {
            at_a_stretch = 0;
            yield_now().await;
        }
    }
    Ok(gathered.finish())
}

/// Whether a response may be a stream, judged by its type and its first bytes.
fn is_stream(answer: &UpstreamResponse, first: &[u8]) -> bool {
    let says = |kind: &str| {
        let content = answer.headers.get("content-type").unwrap_or_default();
        memchr::memmem::find(&content.to_ascii_lowercase(), kind.as_bytes()).is_some()
    };
    first.trim_ascii_start().first() != Some(&b'{') || says("ndjson") || says("event-stream")
}

#[derive(Debug)]
struct Gathered {
    leading: Leading,
    arriving: IncomingBody,
    is_json: bool,
}

impl Whole {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Json(body) => body.len(),
            Self::Other(_, bytes) => bytes.len(),
        }
    }
}

impl Gathered {
    /// `length` is the announced length.
    fn new(length: Option<usize>) -> Self {
        let arriving = IncomingBody::of_upstream(length);
        Self { leading: Leading::default(), arriving, is_json: true }
    }

    /// Bytes that are not JSON are kept, too, so that the error can describe them.
    fn add(&mut self, piece: &Bytes) {
        let [mark, rest] = self.leading.skip(piece);
        if !mark.is_empty() {
            self.is_json &= self.arriving.push(Bytes::copy_from_slice(mark)).is_ok();
        }
        if !rest.is_empty() {
            self.is_json &= self.arriving.push(piece.slice_ref(rest)).is_ok();
        }
    }

    /// Whether more bytes are needed: the body may be JSON, or is shorter than what is kept.
    fn is_wanted(&self) -> bool {
        self.is_json || self.arriving.len() < KEPT
    }

    fn finish(self) -> Whole {
        if self.arriving.is_empty() {
            return Whole::Empty;
        }
        match self.arriving.finish_or_give_back() {
            Ok(body) => Whole::Json(body),
            Err((error, pieces)) => Whole::Other(error, joined(pieces)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(body: &[u8], piece: usize, length: Option<usize>) -> Whole {
        let mut gathered = Gathered::new(length);
        body.chunks(piece).for_each(|piece| gathered.add(&Bytes::copy_from_slice(piece)));
        gathered.finish()
    }

    #[test]
    fn a_body_is_the_same_in_any_pieces() {
        let long = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        for (length, piece) in [(0, 1), (10, 3), (200_000, 1), (3_000_000, 16_384)] {
            let (json, broken) = (long(length), format!("x{}", long(length)));
            for announced in [None, Some(json.len())] {
                for before in ["", " \r\n", "\u{feff}", "\u{feff}\n"] {
                    let sent = [before, &json].concat();
                    let found = gathered(sent.as_bytes(), piece, announced);
                    assert!(matches!(found, Whole::Json(it) if it.rendered() == json), "{length}");
                    let sent = [before, &broken].concat();
                    let found = gathered(sent.as_bytes(), piece, announced);
                    assert!(matches!(found, Whole::Other(_, it) if it == broken), "{length}");
                }
            }
        }
    }

    #[test]
    fn of_what_is_no_json_little_is_wanted() {
        let mut gathered = Gathered::new(None);
        gathered.add(&Bytes::from_static(b"data: x\n\n"));
        assert!(gathered.is_wanted());
        gathered.add(&Bytes::from(vec![b'x'; KEPT]));
        assert!(!gathered.is_wanted());
        let mut gathered = Gathered::new(None);
        gathered.add(&Bytes::from(format!("{{\"a\":\"{}", "x".repeat(2 * KEPT))));
        assert!(gathered.is_wanted());
    }

    #[test]
    fn what_is_no_object_is_given_back() {
        for (sent, kept) in [("[1]", "[1]"), ("{\"a\":", "{\"a\":"), ("data: x\n\n", "data: x\n\n")]
        {
            for piece in [1, 100] {
                let found = gathered(sent.as_bytes(), piece, None);
                assert!(matches!(found, Whole::Other(_, it) if it == kept), "{sent}");
            }
        }
        for blank in ["", " \n", "\u{feff}", "\u{feff} "] {
            assert!(matches!(gathered(blank.as_bytes(), 1, None), Whole::Empty), "{blank:?}");
        }
    }
}
