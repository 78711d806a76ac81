//! Bodies that arrive in any pieces: their members, and the result of edits.

use super::*;
use crate::IncomingBody;

fn body(text: &str, chunk: usize) -> Body {
    let mut arriving = IncomingBody::announced(None);
    for part in text.as_bytes().chunks(chunk) {
        arriving.push(Bytes::copy_from_slice(part)).expect("valid");
    }
    arriving.finish().expect("an object")
}

fn text(body: &Body) -> String {
    String::from_utf8(body.rendered().to_vec()).expect("utf-8")
}

const CHAT: &str = r#"{"model":"m", "messages":[{"role":"user","content":"hé"}], "stream" : true}"#;

#[test]
fn unedited_bytes_stay_as_they_are() {
    for chunk in [1, 7, 1000] {
        assert_eq!(text(&body(CHAT, chunk)), CHAT);
    }
}

#[test]
fn edits_touch_only_their_member() {
    for chunk in [1, 5, 1000] {
        let mut edited = body(CHAT, chunk);
        edited.set("model", &b"\"other\""[..]);
        edited.set("stream_options", &b"{}"[..]);
        assert_eq!(edited.member_text("model"), Some("\"other\""));
        assert_eq!(
            text(&edited),
            r#"{"model":"other", "messages":[{"role":"user","content":"hé"}], "stream" : true,"stream_options":{}}"#
        );
        assert!(edited.remove("messages") && !edited.remove("messages"));
        assert_eq!(text(&edited), r#"{"model":"other", "stream" : true,"stream_options":{}}"#);
        assert!(edited.remove("model") && edited.remove("stream"));
        assert_eq!(text(&edited), r#"{"stream_options":{}}"#);
    }
}

#[test]
fn any_edits_leave_valid_json_and_the_rest_as_it_was() {
    const SPACED: &str = " { \"a\" : 1 ,\n\t\"b\": 2, \"c\":3 }\r\n";
    for removed in 0..8 {
        for chunk in [1, 6, 1000] {
            let mut edited = body(SPACED, chunk);
            let names = ["a", "b", "c"];
            for (index, name) in names.iter().enumerate() {
                assert!(removed & (1 << index) == 0 || edited.remove(name));
            }
            for added in [false, true] {
                if added {
                    edited.set("d", "4");
                }
                let text = text(&edited);
                let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                let kept = names.iter().enumerate().filter(|(i, _)| removed & (1 << i) == 0);
                let kept = kept.count() + usize::from(added);
                assert_eq!(value.as_object().map(serde_json::Map::len), Some(kept), "{text}");
                assert!(text.starts_with(" { ") && text.ends_with(" }\r\n"), "{text:?}");
            }
        }
    }
    let mut edited = body(SPACED, 1000);
    edited.set("b", "null");
    assert_eq!(text(&edited), SPACED.replace('2', "null"));
}

#[test]
fn the_last_of_duplicates_counts_and_is_the_only_one_sent() {
    let twice = body(r#"{"model":"a","x":1,"mod\u0065l":"b"}"#, 1000);
    assert_eq!(twice.member_text("model"), Some("\"b\""));
    assert_eq!(text(&twice), r#"{"x":1,"mod\u0065l":"b"}"#);
}

#[test]
fn large_bodies_are_shared_not_copied() {
    let long = format!(r#"{{"model":"m","messages":["{}"]}}"#, "x".repeat(100_000));
    let mut large = body(&long, 30_000);
    large.set("model", &b"\"n\""[..]);
    let pieces = large.render();
    assert!(pieces.len() > 3, "{}", pieces.len());
    let expected = long.replacen("\"m\"", "\"n\"", 1);
    assert_eq!(pieces.concat(), expected.as_bytes());
}

#[test]
fn only_objects_are_bodies() {
    for text in ["[]", "1", "\"x\"", "null"] {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        assert_eq!(Body::parse(bytes).unwrap_err(), BodyError::NotAnObject);
    }
    assert_eq!(text(&body("{}", 9)), "{}");
}
