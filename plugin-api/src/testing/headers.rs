//! Headers of test calls and answers, by the gateway's rules.

use crate::{EditError, abi::serve::Edited, limits};

/// Headers that the gateway sets itself.
pub(super) const OWNED: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "authorization",
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The header's value, whatever the case of its name.
pub(super) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Sets a header in place of one of that name, unless the gateway owns it.
pub(super) fn set_header(
    headers: &mut Vec<(String, String)>,
    owned: &[&str],
    name: &str,
    value: &str,
) -> Edited {
    let is_owned = owned.iter().any(|owned| owned.eq_ignore_ascii_case(name));
    if is_owned || !is_header_name(name) || !is_header_value(value) {
        return Err(EditError::NotAllowed);
    }
    let others = headers.iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name));
    let used: usize = others.map(|(known, value)| known.len() + value.len()).sum();
    if used + name.len() + value.len() > limits::HEADERS {
        return Err(EditError::TooLarge);
    }
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value.to_owned()));
    Ok(())
}

pub(super) fn is_header_name(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

pub(super) fn is_header_value(value: &str) -> bool {
    value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}
