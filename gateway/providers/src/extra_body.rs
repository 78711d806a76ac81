//! `extra_body`: members that a client's library sends beside those that it knows.

use bytes::Bytes;
use callgate_failure::Failure;
use callgate_json::{Edits, check_names, text, walk};

/// Merges `extra_body` over the body's own members; each value is copied unchanged.
pub(super) fn merge(edits: &mut Edits<'_>) -> Result<(), Failure> {
    match edits.member_bytes("extra_body").filter(|json| **json != *b"null") {
        Some(extra) => merge_over(edits, &extra),
        None => Ok(()),
    }
}

fn merge_over(edits: &mut Edits<'_>, extra: &Bytes) -> Result<(), Failure> {
    let json = text(extra);
    let members = walk::members(json).ok_or_else(Failure::extra_body_not_object)?;
    check_names(json, "extra_body", |_| {})?;
    let named = members.map(|member| (walk::name_of(json, &member), extra.slice(member.value)));
    let merged = named.filter(|(name, _)| !matches!(&**name, "model" | "messages" | "stream"));
    edits.set_all(merged.collect());
    Ok(())
}
