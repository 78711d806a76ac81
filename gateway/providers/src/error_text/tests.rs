//! Every known shape of an error, and bodies that are not errors.

use super::*;

fn parts(said: &ErrorText) -> (&str, Option<&str>, Option<&str>, Option<&str>) {
    (&said.message, said.error_type.as_deref(), said.code.as_deref(), said.param.as_deref())
}

/// Body, message, type, code, parameter.
type Case =
    (&'static str, &'static str, Option<&'static str>, Option<&'static str>, Option<&'static str>);

const SHAPES: &[Case] = &[
    (
        r#"{"error":{"message":"no","type":"t","param":"p","code":"c"}}"#,
        "no",
        Some("t"),
        Some("c"),
        Some("p"),
    ),
    (
        r#"{"error":{"message":"no","type":null,"param":null,"code":404}}"#,
        "no",
        None,
        Some("404"),
        None,
    ),
    (r#"{"error":"plain"}"#, "plain", None, None, None),
    (
        r#"{"error":"Bad Request","message":"no such model","statusCode":400}"#,
        "no such model",
        None,
        None,
        None,
    ),
    (
        r#"{"object":"error","message":"no","type":"BadRequestError","param":null,"code":400}"#,
        "no",
        Some("BadRequestError"),
        Some("400"),
        None,
    ),
    (r#"{"detail":"slow down"}"#, "slow down", None, None, None),
    (
        r#"{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"},{"msg":"two"}]}"#,
        "messages.0: field required; two",
        Some("missing"),
        None,
        Some("messages.0"),
    ),
    (r#"{"detail":{"error":{"message":"deep","code":"c"}}}"#, "deep", None, Some("c"), None),
    (
        r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#,
        "no",
        Some("INVALID_ARGUMENT"),
        Some("400"),
        None,
    ),
    (
        r#"{"type":"error","error":{"type":"not_found_error","message":"m"}}"#,
        "m",
        Some("not_found_error"),
        None,
        None,
    ),
    (r#"{"error":{"error":"inner","code":7}}"#, "inner", None, Some("7"), None),
    (r#"{"errors":["one",{"message":"two","code":"c"}]}"#, "one; two", None, None, None),
    (
        r#"{"errors":[{"code":7003,"message":"no route"}],"success":false}"#,
        "no route",
        None,
        Some("7003"),
        None,
    ),
    (r#"{"msg":"m","code":1}"#, "m", None, Some("1"), None),
    (r#"{"error_message":"m","error_code":"c","error_type":"t"}"#, "m", Some("t"), Some("c"), None),
    (r#"{"errorMessage":"m","errorType":"t"}"#, "m", Some("t"), None, None),
    (
        r#"{"error":"invalid_grant","error_description":"expired"}"#,
        "expired",
        None,
        Some("invalid_grant"),
        None,
    ),
    (r#"{"Message":"m"}"#, "m", None, None, None),
    (
        r#"{"title":"Not Found","status":404,"type":"about:blank"}"#,
        "Not Found",
        Some("about:blank"),
        None,
        None,
    ),
    (r#"{"error":true,"message":"m"}"#, "m", None, None, None),
    (r#"{"error":{"message":"first","message":"last"}}"#, "last", None, None, None),
    (r#""only text""#, "only text", None, None, None),
    (r#"{"error":"\ud800"}"#, r"\ud800", None, None, None),
    ("\u{feff}{\"error\":\"bom\"}", "bom", None, None, None),
];

#[test]
fn errors_of_every_shape_are_read() {
    for (body, message, error_type, code, param) in SHAPES {
        let said = read_error(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(parts(&said), (*message, *error_type, *code, *param), "{body}");
    }
}

#[test]
fn what_says_nothing_is_no_error_object() {
    for body in [
        "",
        "{}",
        "[]",
        "null",
        "7",
        "true",
        r#"{"error":{}}"#,
        r#"{"error":null}"#,
        r#"{"error":""}"#,
        r#"{"object":"error"}"#,
        r#"{"code":"c"}"#,
        "{broken",
        "<html>",
        r#"{"error":{"error":{"error":{"error":{"error":{"error":"too deep"}}}}}}"#,
    ] {
        assert_eq!(read_error(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn a_status_always_has_a_message() {
    for (body, expected) in [
        (&b""[..], "the upstream answered 500 with an empty body"),
        (b"\n \n", "the upstream answered 500 with an empty body"),
        (b"backend\n\texploded", "the upstream answered 500: backend exploded"),
        (b"<html>\n oops</html>", "the upstream answered 500: oops"),
        (br#"{"error":{}}"#, r#"the upstream answered 500: {"error":{}}"#),
        (
            br#"{"k":"sk\u002dx","c":"a\"b"}"#,
            r#"the upstream answered 500: {"k":"sk-x","c":"a"b"}"#,
        ),
        (&[0x1f, 0x8b, 8].repeat(40), "the upstream answered 500 with a body that is not text"),
    ] {
        let said = read_status(500, body);
        assert_eq!(said.message, expected, "{}", String::from_utf8_lossy(body));
    }
}

/// Useful members are kept as ranges of the body, whatever else is in it.
#[test]
fn a_body_full_of_values_costs_no_tree() {
    let body = format!(r#"{{"x":[{}],"error":{{"message":"m"}}}}"#, vec!["{}"; 50_000].join(","));
    assert_eq!(read_error(body.as_bytes()).map(|said| said.message).as_deref(), Some("m"));
    let list = format!("[{}]", vec![r#"{"msg":"m"}"#; 50_000].join(","));
    assert_eq!(
        read_error(list.as_bytes()).map(|said| said.message).as_deref(),
        Some("m; m; m; m; m")
    );
}

#[test]
fn a_page_is_words_and_no_data() {
    for (body, page) in [
        ("", true),
        ("Service starting\n", true),
        ("<html>\n<script>\n{}</script>", true),
        ("\u{feff} <p>no</p>", true),
        ("{\"choices\":[", false),
        ("\u{feff}\n [{\"choices\":[]}]", false),
        ("data: words\n\n", false),
        (": hi\revent: x\rdata:{\r\r", false),
        ("ok\r\n  {\"done\":", false),
    ] {
        assert_eq!(is_page(body.as_bytes()), page, "{body}");
    }
}
