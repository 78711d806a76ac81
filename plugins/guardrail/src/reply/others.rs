//! The members of a reply that are not searched across chunks.

use crate::{
    growth::GrowthLimit,
    object::Object,
    rule::Rule,
    text::{Kind, under},
    withheld::Withheld,
    words::NOT_WRITTEN,
};
use plugin_api::HookError;

/// Applies the rules to the members that are not searched across chunks, each text by itself.
pub(super) fn others_under(
    rules: &[Rule],
    of: &mut Object<'_>,
    known: &[&str],
) -> Result<(), HookError> {
    of.change(|member| {
        let is_known = NOT_WRITTEN.contains(&&*member.name) || known.contains(&&*member.name);
        if is_known || matches!(member.json, "null" | "true" | "false") {
            return Ok(None);
        }
        let room = &mut GrowthLimit::of(member.json.len());
        under(rules, member.json, Kind::Delta, room).map_err(Withheld::of_reply)
    })
}
