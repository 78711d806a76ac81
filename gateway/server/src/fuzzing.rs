//! What a request's path and headers say, for fuzz targets.

use super::{client::ClientAddress, host, route, web::WebRules};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use std::net::SocketAddr;

/// What is made of a request's head by a gateway without a master key, on a loopback address.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether it is answered.
    pub admitted: bool,
    /// The origin that may read the answer.
    pub readable_by: Option<String>,
    /// Who sent it, as the log says, when it came from a trusted proxy.
    pub behind_proxy: String,
    /// The same when it did not.
    pub direct: String,
    /// The model's name in the path, when it has one that can be decoded.
    pub model: Option<Result<String, ()>>,
    /// Where the path leads without its slashes.
    pub redirected: Option<String>,
}

/// `None` for what HTTP itself refuses.
#[must_use]
pub fn judge(path: &[u8], headers: &[(&str, &[u8])]) -> Option<Judged> {
    let uri = Uri::try_from(path).ok()?;
    let mut sent = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().ok()?;
        sent.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    let rules = WebRules::for_fuzzing();
    let mut answer = HeaderMap::new();
    rules.mark(super::web::origin(&sent).as_ref(), &mut answer);
    let readable_by = answer.get(http::header::ACCESS_CONTROL_ALLOW_ORIGIN);
    let readable_by = readable_by.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let trusted = ["10.0.0.0/8"].iter().filter_map(|it| it.parse().ok()).collect::<Vec<_>>();
    let seen = |peer: [u8; 4]| {
        let client = ClientAddress::new(Some(SocketAddr::from((peer, 9))));
        client.of_request(&trusted, &sent).unwrap_or_default().to_string()
    };
    let (behind_proxy, direct) = (seen([10, 0, 0, 7]), seen([192, 0, 2, 1]));
    let model = match route::Route::of(uri.path()) {
        Some(route::Route::Chat(Some(name)) | route::Route::Model(name)) => {
            Some(route::decoded(name).map_err(|_| ()))
        }
        _ => None,
    };
    let redirected = route::without_slash(uri.path()).map(str::to_owned);
    let well_formed = host::check(Version::HTTP_11, &sent).is_ok();
    let mut request = Request::new(());
    (*request.uri_mut(), *request.headers_mut()) = (uri, sent);
    let admitted = well_formed && rules.admit(&request.into_parts().0).is_ok();
    Some(Judged { admitted, readable_by, behind_proxy, direct, model, redirected })
}
