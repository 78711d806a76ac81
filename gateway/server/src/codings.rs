//! The rule for `Transfer-Encoding` (RFC 9112, section 6.1): only `chunked`. Hyper checks the last
//! coding alone. A proxy in front that reads the list differently would see other requests than
//! this gateway, and a body compressed on the way would be taken as it is.

use callgate_failure::Failure;
use http::{HeaderMap, header};
use hyper::body::Body;

/// Checks the codings of a body without an announced length; other bodies have none.
pub(super) fn check(body: &impl Body, headers: &HeaderMap) -> Result<(), Failure> {
    if body.size_hint().exact().is_some() {
        return Ok(());
    }
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let first = lines.next().map_or(&b""[..], |line| line.as_bytes());
    if lines.next().is_none() && first.trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    Err(Failure::transfer_coding())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::stream;
    use http::HeaderValue;
    use http_body_util::{Full, StreamBody};

    #[test]
    fn a_body_is_chunked_and_nothing_else() {
        let chunked = StreamBody::new(stream::empty::<Result<hyper::body::Frame<Bytes>, ()>>());
        for (lines, right) in [
            (&["chunked"][..], true),
            (&["Chunked "], true),
            (&["identity, chunked"], false),
            (&["gzip, chunked"], false),
            (&["chunked, chunked"], false),
            (&["gzip", "chunked"], false),
            (&["chunked", "chunked"], false),
            (&["chunked;q=1"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::TRANSFER_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(check(&chunked, &headers).is_ok(), right, "{lines:?}");
        }
        assert!(check(&Full::new(Bytes::new()), &HeaderMap::new()).is_ok());
    }
}
