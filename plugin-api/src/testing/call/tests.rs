//! The mock's edits behave like the gateway's: which ones fail, and what they leave alone.

use super::TestCall;
use crate::{
    EditError::{NotAllowed, NotFound, NotJson, TooLarge, WrongKind},
    Route,
    abi::serve::CallAccess,
};
use serde_json::json;

fn call() -> TestCall {
    TestCall::chat("groq-x")
        .provider("groq")
        .deployment("gemma3", "ollama", "gemma3:4b")
        .message("system", "be brief")
        .message_json(json!({"role": "user", "content": [
            {"type": "text", "text": "what is"},
            {"type": "image_url", "image_url": {"url": "data:,"}},
            {"type": "text", "text": "this?"},
        ]}))
        .header("Authorization", "Bearer sk-1")
        .header("X-Team", "blue")
        .param("response_format", json!({"type": "text"}))
        .param("stop", json!(["a", "b"]))
}

#[test]
fn paths_lead_into_objects_and_arrays() {
    let call = call();
    let cases = [
        ("response_format.type", Some("\"text\"")),
        ("stop.1", Some("\"b\"")),
        ("stop.2", None),
        ("stop.x", None),
        ("messages.0.role", Some("\"system\"")),
        ("response_format.type.deeper", None),
        ("temperature", None),
        ("", None),
    ];
    for _ in 0..2 {
        for (path, expected) in cases {
            assert_eq!(CallAccess::param(&call, path), expected, "{path}");
        }
    }
}

#[test]
fn params_are_set_and_removed_by_path() {
    let mut call = call();
    assert_eq!(CallAccess::param(&call, "temperature"), None);
    call.set_param("temperature", "0.5").unwrap();
    assert_eq!(CallAccess::param(&call, "temperature"), Some("0.5"), "an edit ends what was read");
    call.set_param("a.b.c", "[1]").unwrap();
    call.remove_param("response_format.type").unwrap();
    let body = TestCall::body(&call);
    assert_eq!((&body["a"], &body["response_format"]), (&json!({"b": {"c": [1]}}), &json!({})));
    assert_eq!(call.remove_param("response_format.type"), Err(NotFound));
    assert_eq!(call.set_param("stop.x", "1"), Err(WrongKind));
    assert_eq!(call.set_param("x", "{"), Err(NotJson));
    for own in ["model", "messages", "stream", "messages.0", ""] {
        assert_eq!(call.set_param(own, "1"), Err(NotAllowed), "{own}");
    }
}

#[test]
fn text_edits_leave_images_where_they_are() {
    let mut call = call();
    assert_eq!(call.message_text(1), Some("what is\nthis?"));
    call.set_message_text(1, "describe").unwrap();
    let image = json!({"type": "image_url", "image_url": {"url": "data:,"}});
    assert_eq!(
        TestCall::body(&call)["messages"][1]["content"],
        json!([{"type": "text", "text": "describe"}, image])
    );
    assert_eq!(call.set_message_text(2, "x"), Err(NotFound));
    assert_eq!(call.set_message_json(0, "[]"), Err(NotJson));
    assert_eq!(call.insert_message(3, "user", "x"), Err(NotFound));
    call.insert_message(2, "user", "last").unwrap();
    call.remove_message(0).unwrap();
    assert_eq!((call.message_count(), call.message_role(1)), (2, Some("user")));
    assert_eq!(call.message_text(2), None);
}

#[test]
fn provider_and_upstream_model_follow_model_and_route() {
    let mut call = call();
    assert_eq!(
        (CallAccess::provider(&call), CallAccess::upstream_model(&call)),
        (Some("groq"), Some("groq-x"))
    );
    call.set_model("gemma3").unwrap();
    assert_eq!(
        (CallAccess::provider(&call), CallAccess::upstream_model(&call)),
        (Some("ollama"), Some("gemma3:4b"))
    );
    call.set_model("nobody").unwrap();
    assert_eq!((CallAccess::provider(&call), CallAccess::upstream_model(&call)), (None, None));
    call.set_route(Route { provider: Some("openai"), ..Route::default() }).unwrap();
    assert_eq!(
        (CallAccess::provider(&call), CallAccess::upstream_model(&call)),
        (Some("openai"), None)
    );
    assert_eq!(call.requested_model(), "groq-x");
    assert_eq!(call.set_model(""), Err(NotAllowed));
}

#[test]
fn routes_and_headers_that_cannot_be_are_refused() {
    let mut call = call().unknown_provider("grok");
    for route in [
        Route { provider: Some("grok"), ..Route::default() },
        Route { provider: Some(""), ..Route::default() },
        Route { api_base: Some("ftp://x"), ..Route::default() },
        Route { api_key: Some("a\nb"), ..Route::default() },
    ] {
        assert_eq!(call.set_route(route), Err(NotAllowed), "{route:?}");
    }
    for (name, value) in [("a b", "x"), ("", "x"), ("x", "a\r\nb"), ("Host", "x")] {
        assert_eq!(call.set_upstream_header(name, value), Err(NotAllowed), "{name}");
    }
    call.set_upstream_header("X-A", "1").unwrap();
    call.set_upstream_header("x-a", "2").unwrap();
    assert_eq!(call.upstream_header("X-a"), Some("2"));
    call.remove_upstream_header("x-A").unwrap();
    assert_eq!(call.remove_upstream_header("x-a"), Err(NotFound));
}

#[test]
fn credentials_are_masked_and_a_routes_key_is_not_printed() {
    let mut call = call();
    assert_eq!(CallAccess::header(&call, "authorization"), Some("***"));
    assert_eq!(call.header_at(0), Some(("Authorization", "***")));
    assert_eq!(CallAccess::header(&call, "x-team"), Some("blue"));
    call.set_route(Route { api_key: Some("sk-secret"), ..Route::default() }).unwrap();
    assert_eq!(call.route().api_key, Some("sk-secret"));
    assert!(!format!("{:?} {call:?}", call.route()).contains("sk-secret"));
}

#[test]
fn notes_metadata_and_bodies_have_limits() {
    let mut call = call();
    let big = "x".repeat(1 << 20);
    assert_eq!(call.set_metadata("k", &big), Err(TooLarge));
    call.set_metadata("k", &big[1..]).unwrap();
    call.set_metadata("k", "v").unwrap();
    assert_eq!(call.shared("k"), Some("v"));
    assert_eq!(call.set_local(&[0; (1 << 20) + 1]), Err(TooLarge));
    assert_eq!(call.replace_body(b"[]"), Err(NotJson));
    call.replace_body(br#"{"model":"m","stream":true}"#).unwrap();
    assert_eq!((TestCall::model(&call), CallAccess::stream(&call)), ("m", true));
    assert_eq!(call.message_count(), 0);
    assert_eq!(CallAccess::body(&call), br#"{"model":"m","stream":true}"#);
}
