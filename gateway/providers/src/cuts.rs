//! Cuts members out of JSON text, and puts other text in their place.

use callgate_json::walk;
use std::ops::Range;

/// The ranges to cut so that `object` has no member of this name, each with one comma.
pub(crate) fn without<'a>(
    object: &'a str,
    name: &'a str,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut end_before = None;
    walk::members(object).into_iter().flatten().filter_map(move |member| {
        let is_it = walk::name_of(object, &member) == name;
        let start = member.name.start - 1;
        if !is_it {
            end_before = Some(member.value.end);
            return None;
        }
        let comma = object.get(member.value.end..)?;
        let after = comma.trim_ascii_start();
        match (end_before, after.strip_prefix(',')) {
            // What was kept before it stays the last member, or is followed by the next comma.
            (Some(before), _) => Some(before..member.value.end),
            (None, Some(rest)) => Some(start..object.len() - rest.len()),
            (None, None) => Some(start..member.value.end),
        }
    })
}

/// The text with these ranges replaced, which are in their order.
pub(crate) fn spliced(json: &str, changes: &[(Range<usize>, impl AsRef<str>)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len());
    let mut at = 0;
    for (range, new) in changes {
        // Two cuts of one object may touch.
        let start = range.start.max(at);
        out.extend_from_slice(json.get(at..start).unwrap_or_default().as_bytes());
        out.extend_from_slice(new.as_ref().as_bytes());
        at = range.end.max(at);
    }
    out.extend_from_slice(json.get(at..).unwrap_or_default().as_bytes());
    out
}
