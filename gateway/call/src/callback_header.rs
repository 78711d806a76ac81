//! Headers that callbacks set, and which they may set.

use http::{HeaderName, HeaderValue};
use plugin_api::{EditError, limits};
use std::cell::RefCell;

/// Callbacks set the same few names in every call. A thread keeps the last ones, because making a
/// name takes longer than finding it.
const KEPT: usize = 32;

/// A longer name is not kept.
const LONGEST_KEPT: usize = 64;

thread_local! {
    static NAMES: RefCell<[Option<HeaderName>; KEPT]> = const { RefCell::new([const { None }; KEPT]) };
}

/// Sets a header from a callback, unless all its headers together become too large.
pub fn set_header(
    headers: &mut Vec<(HeaderName, HeaderValue)>,
    name: &str,
    value: &str,
) -> Result<(), EditError> {
    let (name, value) = valid_header(name, value)?;
    let (mut used, mut present) = (name.as_str().len() + value.len(), None);
    for (index, (other, of_other)) in headers.iter().enumerate() {
        if *other == name {
            present = Some(index);
        } else {
            used += other.as_str().len() + of_other.len();
        }
    }
    if used > limits::HEADERS {
        return Err(EditError::TooLarge);
    }
    // The order of headers is that of the last edits.
    if let Some(present) = present {
        headers.remove(present);
    }
    headers.push((name, value));
    Ok(())
}

/// Checks a header from a callback: valid, and not owned by the connection or the gateway.
pub fn valid_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), EditError> {
    let name = valid_name(name)?;
    let value = HeaderValue::from_str(value).map_err(|_| EditError::NotAllowed)?;
    Ok((name, value))
}

fn valid_name(name: &str) -> Result<HeaderName, EditError> {
    let place = name.bytes().last().map_or(0, usize::from) + name.len();
    let kept = NAMES.try_with(|names| {
        let names = names.borrow();
        names[place % KEPT].as_ref().filter(|kept| kept.as_str() == name).cloned()
    });
    // A thread that is ending has none left.
    if let Some(kept) = kept.ok().flatten() {
        return Ok(kept);
    }
    let made = made_name(name)?;
    if name.len() <= LONGEST_KEPT {
        let keep =
            |names: &RefCell<[_; KEPT]>| names.borrow_mut()[place % KEPT] = Some(made.clone());
        let _ = NAMES.try_with(keep);
    }
    Ok(made)
}

fn made_name(name: &str) -> Result<HeaderName, EditError> {
    let name: HeaderName = name.parse().map_err(|_| EditError::NotAllowed)?;
    // By text, which the compiler compares by length first.
    let is_owned = matches!(
        name.as_str(),
        "host"
            | "content-length"
            | "content-type"
            | "content-encoding"
            | "expect"
            | "transfer-encoding"
            | "connection"
            | "upgrade"
            | "te"
            | "trailer"
            | "authorization"
            | "accept-encoding"
            | "keep-alive"
            | "proxy-connection"
            | "http2-settings"
            | "x-callgate-hop"
    );
    if is_owned { Err(EditError::NotAllowed) } else { Ok(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_same_whether_it_is_kept_or_made() {
        for _ in 0..2 {
            for (given, wanted) in [("x-a", "x-a"), ("X-A", "x-a"), ("x-A", "x-a"), ("x-q", "x-q")]
            {
                assert_eq!(valid_header(given, "v").unwrap().0, wanted, "{given}");
            }
            for refused in ["Host", "host", "te", "", "x a", "x-ä", "authorization"] {
                assert_eq!(valid_header(refused, "v"), Err(EditError::NotAllowed), "{refused}");
            }
        }
        assert_eq!(valid_header("x-a", "v\n"), Err(EditError::NotAllowed));
    }

    #[test]
    fn names_that_share_a_place_do_not_take_each_other_s() {
        // All of these have the same length and last byte.
        let names: Vec<_> = (0..100).map(|number| format!("x-{number:03}-end")).collect();
        for name in names.iter().chain(&names) {
            assert_eq!(valid_header(name, "v").unwrap().0.as_str(), name);
        }
        let long = "x".repeat(LONGEST_KEPT + 1);
        assert_eq!(valid_header(&long, "v").unwrap().0.as_str(), long);
    }

    #[test]
    fn a_header_that_is_set_again_is_the_last_and_counts_once() {
        let mut headers = Vec::new();
        let half = "v".repeat(limits::HEADERS / 2);
        set_header(&mut headers, "x-a", &half).unwrap();
        set_header(&mut headers, "x-b", "2").unwrap();
        set_header(&mut headers, "X-A", &half).unwrap();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-b", "x-a"]);
        assert_eq!(set_header(&mut headers, "x-c", &half), Err(EditError::TooLarge));
        assert_eq!(headers.len(), 2);
    }
}
