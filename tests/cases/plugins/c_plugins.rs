//! Plugins in C: the example of `docs/c-plugins.md`, built as the guide says, and invalid tables.

use callgate_tests::{
    Answer, Client, Event, Gateway, ScriptedUpstream, build,
    config::{config, every_dialect, with_callbacks},
    sse, upstream,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

const EXAMPLE: &str = "plugins/examples/c/team_gate.c";

/// Compiles a plugin, with warnings as errors. Its file is `lib<name>.so` in `folder`.
fn compiled(folder: &Path, name: &str, source: &Path, compiler: &[&str]) -> PathBuf {
    let file = folder.join(format!("lib{name}.so"));
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(["-Wall", "-Wextra", "-Werror", "-pedantic"]);
    command.args(["-shared", "-fPIC", "-I"]).arg(build::repository().join("plugin-api/include"));
    let output = command.arg("-o").arg(&file).arg(source).output().expect("a C compiler runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    file
}

fn in_c(folder: &Path, name: &str, source: &Path) -> PathBuf {
    compiled(folder, name, source, &["cc", "-std=c11"])
}

fn written(folder: &Path, name: &str, source: &str) -> PathBuf {
    let path = folder.join(format!("{name}.c"));
    fs::write(&path, source).unwrap();
    in_c(folder, name, &path)
}

fn entry(file: &Path, settings: &Value) -> Value {
    json!({"path": file, "settings": settings})
}

fn team() -> Value {
    json!({"header": "x-team", "team": "blue", "provider": "groq"})
}

/// The example as C, and as C++ if there is a C++ compiler.
fn examples(folder: &TempDir) -> Vec<PathBuf> {
    let source = build::repository().join(EXAMPLE);
    let mut files = vec![in_c(folder.path(), "team_gate", &source)];
    if Command::new("c++").arg("--version").output().is_ok() {
        let compiler = ["c++", "-x", "c++", "-std=c++11"];
        files.push(compiled(folder.path(), "team_gate_too", &source, &compiler));
    }
    files
}

async fn gateway(upstream: &ScriptedUpstream, callback: Value) -> Gateway {
    let config = with_callbacks(&every_dialect(upstream), &json!([callback]));
    Gateway::with_config(config).start().await
}

#[tokio::test]
async fn the_example_refuses_routes_sets_headers_and_edits_chunks() {
    let folder = tempfile::tempdir().unwrap();
    for file in examples(&folder) {
        let upstream = upstream(Answer::text(["hé", "llo"])).await;
        let gateway = gateway(&upstream, entry(&file, &team())).await;
        let error = gateway.client().chat("gpt").send().await.expect_status(403).error();
        assert_eq!(error["code"], "team_missing", "{error}");
        assert_eq!(error["message"], "name your team in a header");
        assert_eq!(upstream.requests().len(), 0);

        for (team, path) in
            [("red", "/v1/chat/completions"), ("blue", "/openai/v1/chat/completions")]
        {
            for stream in [false, true] {
                let request = gateway.client().chat("gpt").header("x-team", team);
                let reply = request.set("stream", stream).send().await.expect_status(200);
                let sent = upstream.requests().pop().unwrap();
                assert_eq!((sent.path.as_str(), sent.header("x-team")), (path, Some(team)));
                if stream {
                    let events = reply.events();
                    assert_eq!(sse::text(&events), "HéLLO");
                    assert_eq!(events.last(), Some(&Event::Done));
                }
            }
        }
        let line = gateway.log().containing("the first call with a team").await;
        assert_eq!(line.field("callback.fields")["provider"], "groq", "{}", line.text);
        assert!(line.field("callback.name").as_str().unwrap().starts_with("team_gate"));
        let log = gateway.stop().await;
        assert_eq!(log.matches("the first call with a team").count(), 1, "{log}");
    }
}

#[tokio::test]
async fn settings_are_checked_before_its_code_runs_and_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = in_c(folder.path(), "team_gate", &build::repository().join(EXAMPLE));
    for (settings, words) in [
        (json!({"header": "x-team"}), ["the setting `team`", "the setting `provider`"]),
        (
            json!({"header": "x\"y", "team": "t", "provider": "p"}),
            ["settings.header", "expected text that matches"],
        ),
        (
            json!({"header": 7, "team": "t", "provider": "p"}),
            ["settings.header", "expected text, found 7"],
        ),
    ] {
        let config = with_callbacks(&[], &json!([entry(&file, &settings)]));
        for said in [
            Gateway::with_config(&config).check().await.stderr,
            Gateway::with_config(&config).refused().await.stderr,
        ] {
            for word in words {
                assert!(said.contains(word) && said.contains("config.yaml:1:"), "{word}: {said}");
            }
        }
    }
    let ended = Gateway::with_config(with_callbacks(&[], &json!([entry(&file, &team())]))).check();
    let ended = ended.await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert!(ended.stdout.contains("on_llm_start on_llm_new_token"), "{}", ended.stdout);
}

/// A plugin with the test's own manifest and table; its hooks do what their names say.
fn source(manifest: &str, root: &str) -> String {
    format!(
        r#"
#include "callgate_plugin.h"
#include <string.h>
#pragma GCC diagnostic ignored "-Wunused-function"
static callgate_view text(const char *text) {{
  callgate_view view = {{(const uint8_t *)text, strlen(text)}};
  return view;
}}
static uint32_t create(const callgate_create_args *args, void **instance) {{
  (void)args;
  *instance = NULL;
  return 0;
}}
static uint32_t refuses(const callgate_create_args *args, void **instance) {{
  (void)instance;
  args->refuse(args->refusal, args->instance);
  return 1;
}}
static uint32_t says_nothing(const callgate_create_args *args, void **instance) {{
  (void)args;
  (void)instance;
  return 7;
}}
static void destroy(void *instance) {{ (void)instance; }}
static callgate_verdict start(const void *instance, callgate_call call) {{
  (void)instance;
  call.vt->set_local(call.ctx, text("note"));
  return CALLGATE_CONTINUE;
}}
static callgate_verdict breaks(const void *instance, callgate_call call) {{
  (void)instance;
  call.vt->fault(call.ctx, text("out of ideas"));
  return CALLGATE_FAULT;
}}
static callgate_verdict answers(const void *instance, callgate_call call) {{
  callgate_answer answer = {{0, text("from C")}};
  (void)instance;
  call.vt->reply(call.ctx, answer);
  return CALLGATE_REPLY;
}}
static callgate_verdict chunk(const void *instance, callgate_call call, callgate_chunk chunk) {{
  (void)instance;
  (void)call;
  (void)chunk;
  return CALLGATE_CONTINUE;
}}
static callgate_verdict end(const void *instance, callgate_call call, callgate_reply reply) {{
  (void)instance;
  reply.vt->set_header(reply.ctx, text("x-note"), text(call.vt->local(call.ctx).len == 4 ? "4" : "?"));
  return CALLGATE_CONTINUE;
}}
static callgate_verdict error(const void *instance, callgate_call call, callgate_failure failure) {{
  (void)instance;
  (void)call;
  failure.vt->set_status(failure.ctx, 418);
  failure.vt->set_message(failure.ctx, text("softened"));
  return CALLGATE_CONTINUE;
}}
#define MANIFEST CALLGATE_HEADER("odd", "1.0.0") {manifest}
{root}
"#
    )
}

const MANIFEST: &str = r#""{\"name\":\"odd\",\"kind\":\"sync\",\"hooks\":\"on_llm_start on_llm_end on_llm_error\",\"reads\":\"\",\"writes\":\"\",\"settings_schema\":{}}""#;

fn exporting(functions: &str) -> String {
    source(MANIFEST, &format!("CALLGATE_PLUGIN(MANIFEST, {functions})"))
}

/// The test's own root function beside a valid manifest.
fn returning(body: &str) -> String {
    let root = format!(
        "__attribute__((used, section(\".callgate.manifest\"))) static const char m[] = MANIFEST;\n\
         static callgate_view manifest(void) {{ callgate_view it = {{(const uint8_t *)m, sizeof m}}; return it; }}\n\
         static callgate_view other(void) {{ return text(\"{{}}\"); }}\n\
         const callgate_plugin *callgate_plugin_c_v1(void);\n\
         const callgate_plugin *callgate_plugin_c_v1(void) {{ {body} }}"
    );
    source(MANIFEST, &root)
}

#[tokio::test]
async fn every_verdict_and_the_later_hooks_work() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = upstream(Answer::default()).await;
    let plugin = |name: &str, start: &str| {
        let functions = format!("create, destroy, NULL, {start}, NULL, end, error");
        written(folder.path(), name, &exporting(&functions))
    };

    let passing = gateway(&upstream, entry(&plugin("passing", "start"), &json!({}))).await;
    let reply = passing.client().chat("gpt").send().await.expect_status(200);
    assert_eq!(reply.header("x-note"), "4");
    upstream.push(Answer::error(500, "server_error", "x", "oops"));
    let reply = passing.client().chat("gpt").send().await.expect_status(418);
    assert_eq!(reply.error()["message"], "softened");
    passing.stop().await;

    let answering = gateway(&upstream, entry(&plugin("answering", "answers"), &json!({}))).await;
    let reply = answering.client().chat("gpt").send().await.expect_status(200).json();
    assert_eq!(reply["choices"][0]["message"]["content"], "from C");
    answering.stop().await;

    let breaking = gateway(&upstream, entry(&plugin("breaking", "breaks"), &json!({}))).await;
    let reply = breaking.client().chat("gpt").send().await.expect_status(503);
    assert!(!reply.text().contains("out of ideas"), "{}", reply.text());
    let line = breaking.log().containing("out of ideas").await;
    assert_eq!(line.level(), "WARN", "{}", line.text);
    breaking.stop().await;
}

/// Knows one token, refuses another and fails on a third.
const GATE: &str = r#"
#include "callgate_plugin.h"
#include <string.h>

static callgate_view text(const char *bytes) {
  callgate_view view = {(const uint8_t *)bytes, strlen(bytes)};
  return view;
}
static int is(callgate_view view, const char *bytes) {
  return view.len == strlen(bytes) && memcmp(view.ptr, bytes, view.len) == 0;
}
static uint32_t create(const callgate_create_args *args, void **instance) {
  static int it;
  (void)args;
  *instance = &it;
  return 0;
}
static void destroy(void *instance) { (void)instance; }
static callgate_verdict on_auth(const void *instance, callgate_auth request) {
  callgate_view token = request.vt->input(request.ctx, text("authorization"));
  (void)instance;
  if (request.vt->input_count(request.ctx) != 1) {
    return CALLGATE_CONTINUE;
  }
  if (is(token, "Bearer tok-ann")) {
    request.vt->caller(request.ctx, text("{\"key_id\":\"ann\",\"models\":[\"gpt\"],\"keep_for_ms\":60000}"));
    return CALLGATE_REPLY;
  }
  if (is(token, "Bearer tok-odd")) {
    request.vt->caller(request.ctx, text("{\"key_id\":\"odd\",\"model\":[\"gpt\"]}"));
    return CALLGATE_REPLY;
  }
  if (is(token, "Bearer tok-old")) {
    callgate_rejection no = {0};
    no.status = 403;
    no.retry_after_ms = CALLGATE_UNKNOWN;
    no.message = text("too old");
    request.vt->refuse(request.ctx, no, 1000);
    return CALLGATE_REJECT;
  }
  return CALLGATE_CONTINUE;
}
static callgate_verdict on_list_models(const void *instance, callgate_model_list list) {
  (void)instance;
  if (!is(list.vt->caller(list.ctx, text("key_id")), "ann")) return CALLGATE_CONTINUE;
  for (size_t at = 0; at < list.vt->count(list.ctx); at++) {
    if (!is(list.vt->at(list.ctx, at), "gpt")) list.vt->hide(list.ctx, at);
  }
  list.vt->add(list.ctx, text("own"));
  return CALLGATE_CONTINUE;
}
#define MANIFEST CALLGATE_HEADER_MIN("gate", "1.0.0", "1.1", "0.1.0") "{\"name\":\"gate\",\"kind\":\"sync\",\"hooks\":\"on_auth on_list_models\",\"auth_headers\":\"authorization\",\"reads\":\"\",\"writes\":\"\",\"settings_schema\":{}}"
CALLGATE_PLUGIN_WITH_AUTH(MANIFEST, create, destroy, NULL, NULL, NULL, NULL, NULL, on_auth,
                          on_list_models)
"#;

#[tokio::test]
async fn a_plugin_in_c_says_who_may_call_and_what_a_caller_sees() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), upstream(Answer::default()).await);
    let file = written(folder.path(), "gate", GATE);
    let gateway = gateway(&upstream, entry(&file, &json!({}))).await;
    let by = |token: &str| Client::new(gateway.address(), token);
    let _ = by("tok-ann").chat("gpt").send().await.expect_status(200);
    let _ = by("tok-ann").chat("llama").send().await.expect_status(403);
    let refused = by("tok-old").chat("gpt").send().await.expect_status(403).error();
    assert_eq!(refused["message"], "too old");
    let models = by("tok-ann").get("/v1/models").await.expect_status(200).json();
    let ids: Vec<_> = models["data"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(ids, ["gpt", "own"]);
    // A misspelt restriction restricts nothing, so it is a fault.
    let _ = by("tok-odd").chat("gpt").send().await.expect_status(503);
    let _ = by("tok-eve").chat("gpt").send().await.expect_status(401);
    let _ = gateway.client().chat("gpt").send().await.expect_status(200);
    gateway.stop().await;
}

#[tokio::test]
async fn tables_that_cannot_be_used_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let table = |api: &str, size: &str, rest: &str| {
        returning(&format!(
            "static const callgate_plugin t = {{{{{api}}}, {size}, {rest}, NULL, start, NULL, end, \
             error, NULL, NULL}}; return &t;"
        ))
    };
    let whole = "sizeof(callgate_plugin)";
    let two = MANIFEST.replace("}}\"", "}}\" \"\\n\" ") + MANIFEST;
    let exported = |manifest: &str| {
        let root = "CALLGATE_PLUGIN(MANIFEST, create, destroy, NULL, start, NULL, end, error)";
        source(manifest, root)
    };
    let cases = [
        ("null", returning("return NULL;"), "found none"),
        ("short", table("1, 0", "16", "manifest, create, destroy"), "found one of 16 bytes"),
        ("major", table("2, 0", whole, "manifest, create, destroy"), "found one of ABI 2.0"),
        ("minor", table("1, 9", whole, "manifest, create, destroy"), "expected the manifest in"),
        ("other", table("1, 0", whole, "other, create, destroy"), "expected the manifest in"),
        ("mute", table("1, 0", whole, "NULL, create, destroy"), "found one without `manifest`"),
        ("barren", table("1, 0", whole, "manifest, NULL, destroy"), "found one without `create`"),
        ("eternal", table("1, 0", whole, "manifest, create, NULL"), "found one without `destroy`"),
        (
            "refusing",
            exporting("refuses, destroy, NULL, start, NULL, end, error"),
            "refused to start: odd",
        ),
        (
            "silent",
            exporting("says_nothing, destroy, NULL, start, NULL, end, error"),
            "it gave no reason",
        ),
        ("waiting", exported(&MANIFEST.replace("sync", "async")), "found one of kind `async`"),
        ("double", exported(&two), "found 2 of them"),
        ("garbled", exported(&MANIFEST.replace(":{}}", ":{,}}")), "see that `settings_schema`"),
    ];
    for (name, source, sentence) in cases {
        let file = written(folder.path(), name, &source);
        let mut entry = entry(&file, &json!({}));
        entry["name"] = json!("odd");
        let mut config = config(&[]);
        config["litellm_settings"] = json!({"callbacks": [entry]});
        for said in [
            Gateway::with_config(&config).check().await.stderr,
            Gateway::with_config(&config).refused().await.stderr,
        ] {
            assert!(said.contains(sentence) && said.contains("; "), "{name}: {said}");
            assert!(said.contains("callbacks[0]: plugin `odd`"), "{name}: {said}");
        }
    }
}

#[tokio::test]
async fn check_compares_its_hooks_with_its_manifest() {
    let folder = tempfile::tempdir().unwrap();
    for (name, functions, sentence) in [
        (
            "fewer",
            "create, destroy, NULL, start, NULL, NULL, error",
            "expected the hook `on_llm_end`",
        ),
        (
            "more",
            "create, destroy, NULL, start, chunk, end, error",
            "expected no hook `on_llm_new_token`",
        ),
    ] {
        let file = written(folder.path(), name, &exporting(functions));
        let config = with_callbacks(&[], &json!([entry(&file, &json!({}))]));
        let ended = Gateway::with_config(&config).check().await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
        assert!(ended.stderr.contains(sentence), "{name}: {}", ended.stderr);
    }
}

/// `check` runs such a hook in its own process, so the probe must have run it before.
#[tokio::test]
async fn a_hook_that_is_not_listed_and_crashes_ends_the_trial_and_not_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let crashes = exporting("create, destroy, NULL, start, crashes, end, error").replace(
        "#define MANIFEST",
        "static callgate_verdict crashes(const void *instance, callgate_call call, callgate_chunk chunk) {
  (void)instance;
  (void)call;
  (void)chunk;
  __builtin_trap();
}
#define MANIFEST",
    );
    let file = written(folder.path(), "crashing", &crashes);
    let config = with_callbacks(&[], &json!([entry(&file, &json!({}))]));
    let ended = Gateway::with_config(&config).check().await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let sentence = "survive a trial in a child process, found that it crashed";
    assert!(ended.stderr.contains(sentence), "{}", ended.stderr);
    assert!(ended.stderr.contains("in on_llm_new_token"), "{}", ended.stderr);
}

/// The blocks of the guide, by their language.
fn blocks(language: &str) -> Vec<String> {
    let guide = fs::read_to_string(build::repository().join("docs/c-plugins.md")).unwrap();
    let opening = format!("```{language}\n");
    let found = guide.split(opening.as_str()).skip(1);
    found.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn the_guide_can_be_followed_word_for_word() {
    let example = fs::read_to_string(build::repository().join(EXAMPLE)).unwrap();
    assert_eq!(blocks("c").concat(), example, "docs/c-plugins.md must show `{EXAMPLE}`");
    let [commands, config] = ["sh", "yaml"].map(|language| blocks(language).concat());
    let setup = Gateway::with_config(config).file("team_gate.c", &example).plugin_dir(None);
    let folder = setup.config_path().parent().unwrap().to_owned();
    std::os::unix::fs::symlink(build::repository(), folder.join("callgate")).unwrap();
    let built = Command::new("sh").args(["-ec", &commands]).current_dir(folder).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let gateway = setup.start().await;
    let reply = gateway.client().without_key().chat("gpt").send().await.expect_status(403);
    assert_eq!(reply.text().trim(), blocks("text").concat().trim());
    let request = gateway.client().without_key().chat("gpt").header("x-team", "blue");
    let events = request.streaming().send().await.expect_status(200).events();
    assert_eq!(sse::text(&events), "HELLO");
    gateway.stop().await;
}
