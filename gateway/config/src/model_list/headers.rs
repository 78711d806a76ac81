//! `headers` and `extra_headers` of a deployment, checked for what HTTP allows.

use crate::{
    Setting,
    reader::{Field, Reader},
    section::Section,
};
use callgate_secret::Secret;
use http::{HeaderName, HeaderValue};

/// Headers of the connection and the message framing; another value would break the call.
const FRAMING: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-callgate-hop",
];

fn check_header(reader: &mut Reader<'_>, name: &str, field: &Field<'_>, value: &Setting<Secret>) {
    match HeaderName::try_from(name) {
        Err(_) => {
            reader.error(field, "expected the name of an HTTP header, found something else");
        }
        Ok(name) if FRAMING.contains(&name.as_str()) => {
            reader.error(
                field,
                format!("the header `{name}` is the gateway's own to set; remove it here"),
            );
        }
        Ok(name) if name == http::header::HOST => {
            let is_host = |value: &Secret| {
                let authority = value.expose().parse::<http::uri::Authority>();
                authority.is_ok_and(|authority| !authority.as_str().contains('@'))
            };
            if value.set().is_some_and(|value| !is_host(value)) {
                reader
                    .error(field, "expected a host, with or without a port, found something else");
            }
        }
        Ok(_) => {}
    }
    if value.set().is_some_and(|value| HeaderValue::from_str(value.expose()).is_err()) {
        reader.error(field, "expected text that an HTTP header can carry");
    }
}

/// `extra_headers` overrides its synonym.
pub(super) fn take(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
) -> Vec<(String, Setting<Secret>)> {
    let mut headers: Vec<(String, Setting<Secret>)> = Vec::new();
    for key in ["headers", "extra_headers"] {
        let Some(mapping) = section.take(key).and_then(|field| reader.section(&field)) else {
            continue;
        };
        for (name, field) in mapping.members() {
            if field.node.is_null() {
                continue;
            }
            let value = reader.secret(&field);
            check_header(reader, name, &field, &value);
            headers.retain(|(earlier, _)| !name.eq_ignore_ascii_case(earlier));
            headers.push((name.to_owned(), value));
        }
    }
    headers
}
