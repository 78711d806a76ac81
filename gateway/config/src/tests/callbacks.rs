//! The list of callbacks, their settings and grants.

use super::{
    super::{Grants, OnError},
    read, refused, warned,
};
use serde_json::json;
use std::{path::Path, time::Duration};

#[test]
fn callbacks_are_named_by_word_dotted_path_file_or_mapping() {
    let config = warned(
        "litellm_settings:\n  callbacks:\n  - src.callbacks.routing\n  - ./so/libaudit.so\n  \
         - {name: rate_limit, settings: {limits: [{per: 60s}]}, on_error: ignore, timeout: 50ms, required: no}\n  \
         - {name: spare, enabled: false}\n  - {path: /opt/x.so, instance: second}\n\
         callback_settings:\n  src.callbacks.routing: {default: '${KEY}', strict: yes}\n  second: {a: 1}\n",
        &[],
    );
    let seen: Vec<_> = config
        .callbacks
        .iter()
        .map(|it| (it.position, it.name.as_str(), it.file.as_deref().map(Path::to_str)))
        .collect();
    assert_eq!(
        seen,
        [
            (0, "routing", None),
            (1, "audit", Some(Some("dir/./so/libaudit.so"))),
            (2, "rate_limit", None),
            (4, "x", Some(Some("/opt/x.so"))),
        ]
    );
    let [routing, audit, limit, second] = &config.callbacks[..] else { panic!() };
    assert_eq!(routing.settings, json!({"default": "sk-from-env", "strict": true}));
    assert_eq!(routing.settings_path, "callback_settings.src.callbacks.routing");
    assert_eq!((&audit.settings, audit.required), (&json!({}), true));
    assert_eq!(limit.settings, json!({"limits": [{"per": "60s"}]}));
    assert_eq!(limit.settings_path, "litellm_settings.callbacks[2].settings");
    assert_eq!((limit.on_error, limit.required), (OnError::Ignore, false));
    assert_eq!(limit.timeout, Some(Duration::from_millis(50)));
    assert_eq!(second.settings, json!({"a": 1}));
    let single = warned("litellm_settings: {callbacks: langsmith}\n", &[]);
    assert_eq!(single.callbacks[0].name, "langsmith");
}

#[test]
fn settings_beside_litellms_list_are_the_callbacks() {
    let keys = "langsmith_batch_size: 7, langsmith_project: p";
    let text = format!(
        "litellm_settings: {{callbacks: [langsmith], {keys}}}\n\
         callback_settings: {{langsmith: {{project: own}}}}\n"
    );
    let config = warned(&text, &[]);
    assert_eq!(config.callbacks[0].settings, json!({"project": "own", "batch_size": 7}));
    let unused = |at| format!(":1:{at}: no callback is called `langsmith`; this is not used");
    let unused = [
        unused("42: litellm_settings.langsmith_batch_size"),
        unused("64: litellm_settings.langsmith_project"),
    ];
    let unused = unused.each_ref().map(String::as_str);
    warned(&format!("litellm_settings: {{{keys}}}\n"), &unused);
}

#[test]
fn grants_are_read_from_the_entry() {
    let config = warned(
        "litellm_settings:\n  callbacks:\n  - name: a\n    grants: {secrets: [A_KEY], \
         http_hosts: ['*.example.com:8443'], read_auth_header: true}\n  - b\n",
        &[],
    );
    let [a, b] = &config.callbacks[..] else { panic!() };
    assert_eq!(
        (&a.grants.secrets[..], a.grants.read_auth_header),
        (&["A_KEY".to_owned()][..], true)
    );
    assert!(a.grants.http_hosts[0].matches("x.example.com", 8443));
    assert_eq!(b.grants, Grants::default());
}

#[test]
fn callbacks_that_contradict_themselves_are_refused() {
    refused(
        "litellm_settings:\n  callbacks:\n  - a\n  - x.a\n  - {name: b, settings: {p: 1}, on_error: x}\n  \
         - {settings: {}}\n  - ''\n  - {name: c, settings: {p: '${NO}'}, sha256: x}\n\
         callback_settings: {b: {p: 2}, rate_limt: {}, c: }\n",
        &[
            ":4:5: litellm_settings.callbacks[1]: `a` is listed more than once; remove one, or \
             tell them apart with `instance: <name>`",
            ":5:43: litellm_settings.callbacks[2].on_error: expected `fail`, `ignore` or \
             `disable`, found `x`",
            ":6:5: litellm_settings.callbacks[3]: expected a `name` or a `path`, found neither",
            ":7:5: litellm_settings.callbacks[4]: expected a plugin's name or a path to its file, \
             found neither",
            ":8:29: litellm_settings.callbacks[5].settings.p: the environment variable `NO` is \
             not set; set `NO` in the environment or in `.env`",
            ":8:47: litellm_settings.callbacks[5].sha256: expected 12 to 64 hex digits of a SHA-256, \
             found `x`; `sha256sum` prints them",
            ":9:24: callback_settings.b: settings of `b` are also given at \
             `litellm_settings.callbacks[2].settings`; keep one of the two",
            ":9:32: callback_settings.rate_limt: no callback is called `rate_limt`; these settings \
             are not used; name it in `litellm_settings.callbacks`",
        ],
    );
}

#[test]
fn a_setting_has_a_place_of_its_own() {
    let text = "model_list: []\nlitellm_settings:\n  callbacks:\n    - name: a\n      settings:\n        \
                limits:\n          - requests: 0\n            a.b: 1\n";
    let config = read(text).unwrap();
    let entry = &config.callbacks[0];
    let at = |place: super::super::SourceLocation| (place.line, place.column);
    let base = "litellm_settings.callbacks[0].settings";
    assert_eq!(at(entry.place_of_setting(&format!("{base}.limits[0].requests"))), (7, 23));
    assert_eq!(at(entry.place_of_name(&format!("{base}.limits[0].requests"))), (7, 13));
    assert_eq!(at(entry.place_of_name(&format!("{base}.limits[0][\"a.b\"]"))), (8, 13));
    let missing = entry.place_of_setting(&format!("{base}.limits[0].per"));
    assert_eq!(missing.path, format!("{base}.limits[0].per"), "and stands where its limit does");
    assert_eq!((missing.line, missing.column), (7, 13));
    assert_eq!(at(entry.place_of_message("limits[0].requests: expected more")), (7, 23));
    assert_eq!(entry.place_of_message("no file: x"), entry.place);
}

#[test]
fn a_callback_has_one_verdict_in_each_of_litellms_lists() {
    for list in ["success_callback", "failure_callback", "service_callback"] {
        for names in ["langsmith", "[langsmith]", "[langsmith, langsmith]"] {
            let config = warned(
                &format!("litellm_settings: {{{list}: {names}, langsmith_project: p}}\n"),
                &[],
            );
            let [langsmith] = &config.callbacks[..] else { panic!("{list}: {names}") };
            assert_eq!((&*langsmith.name, langsmith.required), ("langsmith", false));
            assert_eq!(langsmith.settings, json!({"project": "p"}));
        }
    }
    let both = "litellm_settings: {success_callback: [langfuse, a], callbacks: [routing, a]}\n";
    let config = warned(both, &[]);
    let seen: Vec<_> =
        config.callbacks.iter().map(|it| (it.position, &*it.name, it.required)).collect();
    assert_eq!(seen, [(0, "routing", true), (1, "a", true), (2, "langfuse", false)]);
    assert_eq!(config.callbacks[2].place.path, "litellm_settings.success_callback[0]");
}

#[test]
fn dotted_names_are_told_apart_by_the_whole_of_them() {
    let config = warned(
        "litellm_settings:\n  callbacks: [a.proxy_handler_instance, b.proxy_handler_instance, \
         src.c.own]\ncallback_settings:\n  a: {x: 1}\n  b.proxy_handler_instance: {x: 2}\n  \
         own: {x: 3}\n",
        &[],
    );
    let entries = config.callbacks.iter().map(|it| (it.called(), it.module(), &it.settings["x"]));
    let entries: Vec<_> = entries.map(|(name, module, x)| (name, module, x.as_i64())).collect();
    assert_eq!(
        entries,
        [
            ("proxy_handler_instance", Some("a"), Some(1)),
            ("b.proxy_handler_instance", Some("b"), Some(2)),
            ("own", Some("c"), Some(3)),
        ]
    );
    refused(
        "litellm_settings: {callbacks: [a.own, a.own]}\n",
        &[":1:39: litellm_settings.callbacks[1]: `own` is listed more than once; remove one, or \
           tell them apart with `instance: <name>`"],
    );
}

#[test]
fn a_callback_serves_the_entry_of_a_new_config_if_every_key_asks_the_same() {
    let entry = |before: &str, keys: &str| {
        let text = format!("{before}litellm_settings:\n  callbacks:\n  - {{name: a{keys}}}\n");
        read(&text).unwrap().callbacks.remove(0)
    };
    let plain = entry("", "");
    for keys in [
        "instance: b",
        "share: s",
        "settings: {a: 1}",
        "on_error: ignore",
        "timeout: 1s",
        "mode: blocking",
        "streams: buffered",
        "streams: relayed",
        "only: {models: [x]}",
        "except: {models: [x]}",
        "canary: 10%",
        "skippable_by: [x-skip]",
        "protects: true",
        "hooks: [on_llm_end]",
        "breaker: false",
        "record: {dir: calls}",
        "grants: {secrets: [A]}",
    ] {
        let keyed = entry("", &format!(", {keys}"));
        assert!(!plain.asks_the_same_as(&keyed) && !keyed.asks_the_same_as(&plain), "{keys}");
        let moved = entry("# moved\n", &format!(",   {keys}"));
        assert!(keyed.asks_the_same_as(&moved), "{keys}");
    }
    for keys in ["required: false", "sha256: 0123456789ab", "instance: a"] {
        assert!(plain.asks_the_same_as(&entry("", &format!(", {keys}"))), "{keys}");
    }
}
