//! Parameters of a deployment: which of them are defaults for its calls.

use super::{refused, warned, with_param};
use crate::Standing;
use serde_json::json;

#[test]
fn what_each_call_says_for_itself_is_no_default() {
    let of = "is not used: each call sets it; remove it";
    let path = "model_list[0].litellm_params";
    let config = warned(
        &with_param(
            "stream: true\n    n: 2\n    messages: []\n    litellm_session_id: s\n    seed: 1\n    \
             user_api_key_hash: h\n    extra_body: {stream: true, model: x, no-log: true, top_k: 1}\n    \
             additional_drop_params: [logit_bias, 'tools[*].x']",
        ),
        &[
            &format!(":5:5: {path}.stream: `stream` {of}"),
            &format!(":6:5: {path}.n: `n` {of}"),
            &format!(":7:5: {path}.messages: `messages` {of}"),
            &format!(":11:18: {path}.extra_body.stream: `stream` {of}"),
            &format!(":11:32: {path}.extra_body.model: `model` {of}"),
            &format!(
                ":11:42: {path}.extra_body.no-log: `no-log` is not used: it is taken out of every body"
            ),
        ],
    );
    for name in ["litellm_session_id", "user_api_key_hash"] {
        let key = config.keys.iter().find(|it| it.place.path == format!("{path}.{name}")).unwrap();
        assert!(matches!(key.standing, Standing::Harmless(_)), "{key:?}");
    }
    let model = &config.models[0];
    assert_eq!(serde_json::Value::Object(model.params.clone()), json!({"seed": 1, "top_k": 1}));
    assert_eq!(model.additional_drop_params, ["logit_bias"]);
    assert_eq!(model.drop_paths, [callgate_providers::ParamPath::parse("tools[*].x").unwrap()]);
    for (name, text) in [
        (
            "'tools[*]'",
            "expected a parameter, or a path to a member such as `tools[*].function.strict`, found \
             `tools[*]`",
        ),
        ("'messages[*].name'", "expected a parameter, found `messages`, which every call has"),
        ("stream", "expected a parameter, found `stream`, which every call has"),
    ] {
        let line = format!("additional_drop_params: [{name}]");
        refused(&with_param(&line), &[&format!(":5:30: {path}.additional_drop_params[0]: {text}")]);
    }
}

#[test]
fn what_was_meant_for_the_destination_is_never_sent_upstream() {
    for (line, near) in [
        ("api_ky: sk-1", "api_key"),
        ("apikey: sk-1", "api_key"),
        ("API_KEY: sk-1", "api_key"),
        ("openai_api_key: sk-1", "api_key"),
        ("api_bas: http://x", "api_base"),
        ("api-base: http://x", "api_base"),
        ("organisation: o", "organization"),
        ("extra_header: {a: b}", "extra_headers"),
    ] {
        let key = line.split(':').next().unwrap_or_default();
        refused(
            &with_param(line),
            &[&format!(
                ":5:5: model_list[0].litellm_params.{key}: unknown key `{key}`; did you mean `{near}`?"
            )],
        );
    }
}
