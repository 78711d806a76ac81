//! The members of a reply that are not searched across chunks, and the names of all its members.

use crate::{
    growth::GrowthLimit,
    object::Object,
    rule::Rule,
    text::{Kind, masked, under},
    withheld::Withheld,
    words::{NOT_WRITTEN, names_part_of_reply},
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
    })?;
    of.rename(|name| {
        if names_part_of_reply(name) {
            return Ok(None);
        }
        let room = GrowthLimit::of(name.len());
        let (masked, changed) = masked(rules, name.into(), &room).map_err(Withheld::of_reply)?;
        Ok(changed.then(|| masked.into_owned()))
    })
}
