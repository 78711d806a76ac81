//! Fits a request to a provider that differs from OpenAI.

use crate::{
    Quirks,
    cuts::{spliced, without},
};
use bytes::Bytes;
use callgate_json::{Edits, text, walk};
use memchr::memmem;
use std::ops::Range;

/// Called last, when the body has all of its members.
pub(super) fn apply(quirks: Quirks, edits: &mut Edits<'_>) {
    if quirks == Quirks::default() {
        return;
    }
    if let Some((unknown, known)) = quirks.token_limit.renamed()
        && let Some(limit) = edits.member_bytes(unknown)
    {
        edits.remove_all(|name| name == unknown.as_bytes());
        // A client that sends both means the one that the provider knows.
        if edits.member(known).is_none_or(|known| *known == *b"null") {
            edits.set(known, limit);
        }
    }
    if quirks.no_stream_options {
        edits.remove_all(|name| name == b"stream_options");
    }
    if (quirks.developer_as_system || quirks.no_reasoning_content)
        && let Some(messages) = edits.member_bytes("messages")
        && let Some(fitted) = fitted(quirks, &messages)
    {
        edits.set("messages", fitted);
    }
}

/// The messages without what the provider refuses; `None` if they have nothing of it.
fn fitted(quirks: Quirks, messages: &Bytes) -> Option<Vec<u8>> {
    let mentions = |word: &str| memmem::find(messages, word.as_bytes()).is_some();
    let developer = quirks.developer_as_system && mentions("developer");
    let reasoning = quirks.no_reasoning_content && mentions("reasoning_content");
    if !developer && !reasoning {
        return None;
    }
    let json = text(messages);
    let mut changes: Vec<(Range<usize>, &str)> = Vec::new();
    for message in walk::elements(json)? {
        let start = message.value.start;
        let Some(object) = json.get(message.value) else { continue };
        if let Some(role) = walk::member(object, "role").filter(|_| developer)
            && object.get(role.value.clone()).is_some_and(|role| walk::decoded(role) == "developer")
        {
            changes.push((start + role.value.start..start + role.value.end, r#""system""#));
        }
        if reasoning {
            changes.extend(
                without(object, "reasoning_content")
                    .map(|range| (start + range.start..start + range.end, "")),
            );
        }
    }
    changes.sort_by_key(|(range, _)| range.start);
    (!changes.is_empty()).then(|| spliced(json, &changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenLimit;
    use callgate_json::{Body, joined};

    #[track_caller]
    fn check(quirks: Quirks, body: &str, expected: &str) {
        let parsed = Body::parse(body.to_owned().into()).unwrap();
        let mut edits = Edits::of(&parsed);
        apply(quirks, &mut edits);
        let sent = joined(edits.render());
        assert_eq!(std::str::from_utf8(&sent), Ok(expected));
        assert!(serde_json::from_slice::<serde_json::Value>(&sent).is_ok());
    }

    const NONE: Quirks = Quirks {
        token_limit: TokenLimit::AsGiven,
        no_stream_options: false,
        developer_as_system: false,
        no_reasoning_content: false,
    };

    #[test]
    fn the_token_limit_has_the_name_that_the_provider_knows() {
        let older = Quirks { token_limit: TokenLimit::MaxTokens, ..NONE };
        let newer = Quirks { token_limit: TokenLimit::MaxCompletionTokens, ..NONE };
        check(older, r#"{"max_completion_tokens":5}"#, r#"{"max_tokens":5}"#);
        check(older, r#"{"max_tokens":4}"#, r#"{"max_tokens":4}"#);
        check(older, r#"{"max_completion_tokens":5,"max_tokens":4}"#, r#"{"max_tokens":4}"#);
        check(older, r#"{"max_completion_tokens":5,"max_tokens":null}"#, r#"{"max_tokens":5}"#);
        check(newer, r#"{"max_tokens":4}"#, r#"{"max_completion_tokens":4}"#);
        check(NONE, r#"{"max_completion_tokens":5}"#, r#"{"max_completion_tokens":5}"#);
    }

    #[test]
    fn stream_options_are_left_out_where_they_are_refused() {
        let quirks = Quirks { no_stream_options: true, ..NONE };
        check(quirks, r#"{"a":1,"stream_options":{"include_usage":true}}"#, r#"{"a":1}"#);
    }

    #[test]
    fn a_developer_speaks_as_the_system() {
        let quirks = Quirks { developer_as_system: true, ..NONE };
        let given = r#"{"messages":[{"role":"developer","content":"a"}, {"content":"developer","role":"user"},{"role":"d\u0065veloper"}]}"#;
        let sent = r#"{"messages":[{"role":"system","content":"a"}, {"content":"developer","role":"user"},{"role":"system"}]}"#;
        check(quirks, given, sent);
        check(NONE, given, given);
    }

    #[test]
    fn reasoning_of_earlier_turns_is_cut_where_it_is_refused() {
        let quirks = Quirks { no_reasoning_content: true, ..NONE };
        for (given, sent) in [
            (r#"{"reasoning_content":"r"}"#, "{}"),
            (r#"{"reasoning_content":"r", "a":1}"#, r#"{ "a":1}"#),
            (r#"{"a":1, "reasoning_content":"r"}"#, r#"{"a":1}"#),
            (r#"{"a":1,"reasoning_content":"r","b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"reasoning_content":1,"reasoning_content":2,"b":2}"#, r#"{"b":2}"#),
            (r#"{"a":1,"reasoning_content":1,"reasoning_content":2,"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"content":"reasoning_content"}"#, r#"{"content":"reasoning_content"}"#),
        ] {
            let body = |message: &str| format!(r#"{{"messages":[{message}]}}"#);
            check(quirks, &body(given), &body(sent));
        }
    }
}
