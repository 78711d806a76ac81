//! What the server reads from a request's path, headers and form, for fuzz targets.

use super::{
    client::ClientAddress,
    host,
    multipart::{FormEvent, Multipart},
    route,
    web::WebRules,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use std::net::SocketAddr;

/// How a gateway without a master key on a loopback address judges a request's head.
#[derive(Debug, PartialEq, Eq)]
pub struct Judged {
    /// Whether it is answered.
    pub admitted: bool,
    /// The origin that may read the answer.
    pub readable_by: Option<String>,
    /// The client's address in the log if a trusted proxy sent the request.
    pub behind_proxy: String,
    /// The same if the request came directly.
    pub direct: String,
    /// The model name in the path; `Err` if it cannot be decoded.
    pub model: Option<Result<String, ()>>,
    /// The path that a path with trailing slashes redirects to.
    pub redirected: Option<String>,
}

/// Judges a head; `None` if it is not valid HTTP.
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
        Some(route::Route::Call(_, Some(name)) | route::Route::Model(name)) => {
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

/// A part of a form: its name, its file's name and its content.
pub type FormPart = (String, Option<String>, Vec<u8>);

/// Reads a form that comes in these pieces.
///
/// # Errors
/// If it is no form.
pub fn form(content_type: &str, pieces: &[&[u8]]) -> Result<Vec<FormPart>, String> {
    let mut form = Multipart::of(content_type).map_err(|error| error.to_string())?;
    let mut parts: Vec<FormPart> = Vec::new();
    for piece in pieces {
        form.push(piece);
        while let Some(event) = form.next().map_err(|error| error.to_string())? {
            match (event, parts.last_mut()) {
                (FormEvent::Begin(head), _) => parts.push((head.name, head.file_name, Vec::new())),
                (FormEvent::Data(data), Some((.., content))) => content.extend_from_slice(&data),
                _ => {}
            }
        }
    }
    form.finish().map_err(|error| error.to_string())?;
    Ok(parts)
}
