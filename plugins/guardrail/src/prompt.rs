//! Finds the texts of a request and puts them back masked.

use crate::{
    growth::GrowthLimit,
    rule::Rule,
    scan::members,
    text::{Kind, masked, under},
    withheld::{Withheld, too_large, unreadable},
    words::{NUMBERS, PARAMS},
};
use plugin_api::{EditError, HookError, LlmCall};

/// Members that are not searched here: they have their own accessors, or the gateway does not send
/// them.
const NOT_SENT: [&str; 5] = ["messages", "model", "stream", "metadata", "litellm_metadata"];

/// Applies the rules to every text of a request that a model may read: those of all messages, and
/// those of every other member that is sent.
pub(crate) fn apply(rules: &[Rule], call: &mut LlmCall<'_>) -> Result<(), HookError> {
    let mut room = GrowthLimit::of(call.body().len());
    for (name, json) in other_members(rules, call, &mut room)? {
        // `set_param` would read a dot as a path.
        if name.contains('.') {
            return Err(unreadable(&name));
        }
        call.set_param(&name, &json).map_err(|error| refused_edit(&name, error))?;
    }
    for index in 0..call.message_count() {
        let place = || format!("messages[{index}]");
        let json = call.message_json(index).ok_or_else(|| unreadable(&place()))?;
        if !shape_is_known(json) {
            return Err(unreadable(&place()));
        }
        let masked =
            under(rules, json, Kind::Message, &mut room).map_err(|held| held.refusal(&place()))?;
        if let Some(masked) = masked {
            call.set_message_json(index, &masked).map_err(|error| refused_edit(&place(), error))?;
        }
    }
    Ok(())
}

/// Returns the other members that the rules change, with their new values.
fn other_members(
    rules: &[Rule],
    call: &LlmCall<'_>,
    room: &mut GrowthLimit,
) -> Result<Vec<(String, String)>, HookError> {
    fn of_request(held: Withheld) -> HookError {
        held.refusal("the request")
    }
    let body = std::str::from_utf8(call.body()).map_err(|_| unreadable("the request"))?;
    let mut changed = Vec::new();
    for (name, place) in members(body, usize::MAX).map_err(of_request)? {
        let json = &body[place];
        if NOT_SENT.contains(&&*name) {
            continue;
        }
        if !PARAMS.contains(&&*name)
            && masked(rules, name.as_ref().into(), room).map_err(of_request)?.1
        {
            let why = "a member's name has a match; send another name";
            return Err(of_request(Withheld::NotMaskable(why)));
        }
        if NUMBERS.contains(&&*name) && !json.starts_with(['"', '{', '[']) {
            continue;
        }
        if let Some(masked) =
            under(rules, json, Kind::Member, room).map_err(|held| held.refusal(&name))?
        {
            changed.push((name.into_owned(), masked));
        }
    }
    Ok(changed)
}

/// Returns whether a message's content has a form that can be searched, or is missing.
fn shape_is_known(message: &str) -> bool {
    let Ok(members) = members(message, usize::MAX) else { return false };
    let mut content = members.iter().filter(|(name, _)| name == "content").map(|(_, place)| place);
    let (Some(place), None) = (content.next(), content.next()) else {
        return content.next().is_none();
    };
    message[place.clone()].starts_with(['"', '[', 'n'])
}

/// An edit that fails because of a client's text is the client's mistake too.
fn refused_edit(place: &str, error: EditError) -> HookError {
    match error {
        EditError::TooLarge => too_large(place),
        _ => unreadable(place),
    }
}
