//! Asks an upstream of OpenAI's dialect for the usage of a stream.

use callgate_json::{Edits, walk};

/// Asks for usage so that it can be counted; the client sees it only if it asked, too. A value set
/// by the client or the deployment stays.
pub(super) fn ask(edits: &mut Edits<'_>) {
    const ASKED: &[u8] = br#"{"include_usage":true}"#;
    let options = edits.member_text("stream_options").filter(|json| walk::members(json).is_some());
    let Some(options) = options else { return edits.set("stream_options", ASKED) };
    let (place, new) = match walk::member(options, "include_usage") {
        Some(member) if options.get(member.value.clone()).is_some_and(|set| set != "null") => {
            return;
        }
        Some(member) => (member.value, "true"),
        None => {
            let end = options.trim_ascii_end().len() - 1;
            let first = walk::members(options).is_none_or(|mut members| members.next().is_none());
            (end..end, if first { r#""include_usage":true"# } else { r#","include_usage":true"# })
        }
    };
    let asked = [&options[..place.start], new, &options[place.end..]].concat();
    edits.set("stream_options", asked);
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_json::{Body, joined};

    #[test]
    fn usage_is_asked_for_without_losing_other_options() {
        for (body, expected) in [
            (r#"{"a":1}"#, r#"{"a":1,"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":null}"#, r#"{"stream_options":{"include_usage":true}}"#),
            (r#"{"stream_options":{"x":1}}"#, r#"{"stream_options":{"x":1,"include_usage":true}}"#),
            (
                r#"{"stream_options": {"include_usage": true}}"#,
                r#"{"stream_options": {"include_usage": true}}"#,
            ),
            (
                r#"{"stream_options":{"include_usage":null}}"#,
                r#"{"stream_options":{"include_usage":true}}"#,
            ),
            (
                r#"{"stream_options": {"include_usage": false}}"#,
                r#"{"stream_options": {"include_usage": false}}"#,
            ),
        ] {
            let parsed = Body::parse(body.to_owned().into()).unwrap();
            let mut edits = Edits::of(&parsed);
            ask(&mut edits);
            assert_eq!(joined(edits.render()), expected);
        }
    }
}
