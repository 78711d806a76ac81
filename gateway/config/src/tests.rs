//! Whole configs and their problems and settings: operators' typical mistakes, each with its exact
//! location, and unmodified configs from public projects.

mod callbacks;
mod defaults;
mod include;
mod keys;
mod litellm;
mod quoting;
mod variables;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Config, Environment, Problems, Setting, UnknownKeys, parse};

const SEED: &str = include_str!("../../../tests/fixtures/seed/config.yaml");
const SEED_LANGSMITH: &str = include_str!("../../../tests/fixtures/seed/config.langsmith.yaml");
const OWN: &str = include_str!("../../../config.yaml");

fn env() -> Environment {
    Environment::from_pairs([("KEY", "sk-from-env"), ("N", "7"), ("BLANK", " "), ("ON", "true")])
}

fn read(text: &str) -> Result<Config, Problems> {
    parse(&Arc::from(Path::new("dir/c.yaml")), text, &env(), UnknownKeys::Warn)
}

/// Checks that these are all problems, each ending in the expected text.
#[track_caller]
fn problems(text: &str, expected: &[&str]) {
    let found = match read(text) {
        Ok(config) => config.problems,
        Err(Problems(problems)) => problems,
    };
    let found: Vec<_> = found.iter().map(ToString::to_string).collect();
    let expected: Vec<_> = expected.iter().map(|line| format!("dir/c.yaml{line}")).collect();
    assert_eq!(found, expected, "{text}");
}

#[track_caller]
fn refused(text: &str, expected: &[&str]) {
    assert!(read(text).is_err(), "{text}");
    problems(text, expected);
}

#[track_caller]
fn warned(text: &str, expected: &[&str]) -> Config {
    problems(text, expected);
    read(text).unwrap()
}

/// A `model_list` with one entry whose `litellm_params` also have these lines.
fn with_param(line: &str) -> String {
    format!("model_list:\n- model_name: m\n  litellm_params:\n    model: openai/x\n    {line}\n")
}

#[test]
fn files_that_are_no_config_are_refused() {
    refused("", &[": expected at least a `model_list`, found an empty file"]);
    refused("# nothing\n", &[": expected at least a `model_list`, found an empty file"]);
    refused("- a\n", &[":1:1: expected a mapping, found a list"]);
    refused("model_list: 5\n", &[":1:13: model_list: expected a list, found a number"]);
    assert!(read("a:\n\t- b").unwrap_err().to_string().starts_with("dir/c.yaml:2:"));
    let missing = super::load(Path::new("/nonexistent/c.yaml"), &env(), UnknownKeys::Warn);
    let said = missing.unwrap_err().to_string();
    assert!(said.starts_with("/nonexistent/c.yaml: the config cannot be read: "), "{said}");
    let endless = super::load(Path::new("/dev/zero"), &env(), UnknownKeys::Warn);
    let said = endless.unwrap_err().to_string();
    assert!(said.contains("expected a regular file, found a device"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("c.yaml");
    std::fs::File::create(&large).unwrap().set_len((16 << 20) + 1).unwrap();
    let said = super::load(&large, &env(), UnknownKeys::Warn).unwrap_err().to_string();
    assert!(said.contains("expected at most 16 MiB, found more"), "{said}");
}

#[test]
fn an_absent_or_empty_model_list_starts() {
    assert!(warned("model_list:\n", &[]).models.is_empty());
    assert!(warned("general_settings: {}\n", &[]).models.is_empty());
}

#[test]
fn entries_that_lack_something_are_all_named() {
    refused(
        "model_list:\n- model_name: a\n- litellm_params: {model: openai/x}\n- model_name: c\n  \
         litellm_params: {api_key: k}\n- 7\n- model_name: ' '\n  litellm_params: {model: '${NO}'}\n",
        &[
            ":2:3: model_list[0]: expected `litellm_params` with a `model`, found none",
            ":3:3: model_list[1]: expected a `model_name`, found none",
            ":5:19: model_list[2].litellm_params: expected a `model`, found none",
            ":6:3: model_list[3]: expected a mapping, found a number",
            ":7:15: model_list[4].model_name: expected a name, found blank text",
            ":8:27: model_list[4].litellm_params.model: the environment variable `NO` is not set; \
             set `NO` in the environment or in `.env`",
        ],
    );
}

#[test]
fn figures_of_the_wrong_kind_are_refused_with_what_was_found() {
    let at = |line: &str, expected: &str| {
        refused(&with_param(line), &[&format!(":5:{expected}")]);
    };
    at("rpm: abc", "10: model_list[0].litellm_params.rpm: expected a number from 0, found `abc`");
    at("tpm: -1", "10: model_list[0].litellm_params.tpm: expected a number from 0, found `-1`");
    at(
        "timeout: abc",
        "14: model_list[0].litellm_params.timeout: expected seconds as a number, or a duration \
         such as `500ms`, `2s`, `1m`, found `abc`",
    );
    at(
        "timeout: 0",
        "14: model_list[0].litellm_params.timeout: expected a duration above 0, found 0",
    );
    at(
        "order: 1.5",
        "12: model_list[0].litellm_params.order: expected a whole number in range, found `1.5`",
    );
    at(
        "drop_params: maybe",
        "18: model_list[0].litellm_params.drop_params: expected true or false, found `maybe`",
    );
    at("api_key: [a]", "14: model_list[0].litellm_params.api_key: expected text, found a list");
    at(
        "api_base: true",
        "15: model_list[0].litellm_params.api_base: expected text, found a boolean; put it in quotes",
    );
    at(
        "extra_headers: {'a b': c}",
        "28: model_list[0].litellm_params.extra_headers.a b: expected the name of an HTTP header, \
         found something else",
    );
    at(
        "extra_headers: {Host: 'a b'}",
        "27: model_list[0].litellm_params.extra_headers.Host: expected a host, with or without a \
         port, found something else",
    );
    at(
        "headers: {Content-Length: '1'}",
        "31: model_list[0].litellm_params.headers.Content-Length: the header `content-length` is \
         the gateway's own to set; remove it here",
    );
}

#[test]
fn a_deployment_is_read_whole() {
    let config = warned(
        &with_param(
            "base_url: http://h/${KEY}/v1\n    api_key: os.environ/KEY\n    rpm: ${N}\n    \
             order: 2\n    timeout: 1m\n    request_timeout: 9\n    stream_timeout: 0.5\n    \
             drop_params: yes\n    headers: {x-a: '1'}\n    extra_headers: {X-B: 'Bearer ${KEY}'}\n    \
             temperature: 0.2\n    think: off\n    extra_body: {top_k: 5, note: '$${KEY}'}",
        ),
        &[],
    );
    let model = &config.models[0];
    assert_eq!(model.api_base.0, Setting::Set("http://h/sk-from-env/v1".into()));
    assert!(model.api_key.set().unwrap().matches(b"sk-from-env"));
    assert_eq!(model.weights.rpm, Some(7.0));
    assert_eq!((model.order, model.drop_params), (2, Some(true)));
    assert_eq!(model.timeout, Some(Duration::from_secs(60)));
    assert_eq!(model.stream_timeout, Some(Duration::from_millis(500)));
    let headers = model.extra_headers.iter();
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.as_str(), value.set().unwrap().expose())).collect();
    assert_eq!(headers, [("x-a", "1"), ("X-B", "Bearer sk-from-env")]);
    let expected = json!({"temperature": 0.2, "think": false, "top_k": 5, "note": "${KEY}"});
    assert_eq!(serde_json::Value::Object(model.params.clone()), expected);
}

#[test]
fn a_missing_variable_is_a_warning_and_stays_with_the_deployment() {
    let config = warned(
        &with_param(
            "api_key: ${NO}\n    api_base: 'https://${BLANK}'\n    rpm: ${NO}\n    user: ${NO}",
        ),
        &[
            ":5:14: model_list[0].litellm_params.api_key: the environment variable `NO` is not \
             set; calls that need it will fail until `NO` is set",
            ":7:10: model_list[0].litellm_params.rpm: the environment variable `NO` is not set; \
             calls that need it will fail until `NO` is set",
            ":8:11: model_list[0].litellm_params.user: the environment variable `NO` is not set; \
             calls that need it will fail until `NO` is set",
        ],
    );
    let unset = config.models[0].api_key.unset().unwrap();
    assert_eq!(
        unset.to_string(),
        "`model_list[0].litellm_params.api_key` needs the environment variable `NO`, which is not \
         set or blank"
    );
    assert_eq!(config.models[0].params_unset[0].variable.as_ref(), "NO");
    warned(
        &with_param("api_key: ${BLANK}"),
        &[":5:14: model_list[0].litellm_params.api_key: the environment variable `BLANK` is \
           blank; calls that need it will fail until `BLANK` is set"],
    );
    refused(
        &with_param("api_key: ${NO:x}"),
        &[":5:14: model_list[0].litellm_params.api_key: expected a variable's name, as in \
           `${NAME}` or `os.environ/NAME`, found something else; for a literal `${` write `$${`"],
    );
}

#[test]
fn the_config_may_bring_its_own_variables() {
    let config = warned(
        "environment_variables: {KEY: lower, OWN: x, COPY: os.environ/N, PORT: 1}\n\
         general_settings: {master_key: '${KEY}-${OWN}-${COPY}-${PORT}'}\n",
        &[],
    );
    assert!(config.master_key.unwrap().matches(b"sk-from-env-x-7-1"));
    assert_eq!(config.environment.var("OWN"), Some("x"));
}

#[test]
fn unknown_keys_draw_one_warning_each() {
    let text = "modle_list: []\ngeneral_settings: {database_ulr: x, database_url: y}\n\
                litellm_settings: {success_callback: [langfuse]}\nguardrails: []\n";
    let expected = [
        ":1:1: modle_list: unknown key `modle_list`; did you mean `model_list`?",
        ":2:20: general_settings.database_ulr: unknown key `database_ulr`; did you mean `database_url`?",
        ":2:37: general_settings.database_url: `database_url` is not used: there is no database: keys are listed in `callgate.keys`, and neither spending nor models are stored",
    ];
    warned(text, &expected);
    let file = Arc::from(Path::new("c.yaml"));
    let strict = parse(&file, text, &env(), UnknownKeys::Refuse).unwrap_err();
    assert_eq!((strict.errors().count(), strict.warnings().count()), (2, 1));
    assert!(read(&format!("{text}callgate: {{strict: true}}\n")).is_err());
    warned(
        &with_param("temprature: 1"),
        &[
            ":5:5: model_list[0].litellm_params.temprature: unknown key `temprature`; it is taken for a request parameter; did you mean `temperature`?",
        ],
    );
    assert!(
        warned(
            &with_param("max_retries: 1"),
            &[":5:5: model_list[0].litellm_params.max_retries: `max_retries` is not used: \
           a failed call is not tried again; clients retry"],
        )
        .models[0]
            .params
            .is_empty()
    );
}

#[test]
fn a_repeated_key_is_reported_and_the_last_one_used() {
    let config = warned(
        "general_settings:\n  master_key: a\n  master_key: b\n",
        &[":3:3: `master_key` was already given on line 2; this later one is used; remove one of \
           them"],
    );
    assert!(config.master_key.unwrap().matches(b"b"));
}

#[test]
fn master_keys_are_accepted_refused_or_missed() {
    let key = |value: &str| format!("general_settings: {{master_key: {value}}}\n");
    let config = warned(&key("01234"), &[]);
    assert!(config.master_key.unwrap().matches(b"01234"));
    let config = warned(
        &key("1234"),
        &[
            ":1:32: general_settings.master_key: expected text, found a number; its digits are used \
           as the key; put it in quotes",
        ],
    );
    assert!(config.master_key.unwrap().matches(b"1234"));
    refused(
        &key("''"),
        &[":1:32: general_settings.master_key: expected a key, found a blank one; set a long \
           random key"],
    );
    refused(
        &key("'${BLANK}'"),
        &[":1:32: general_settings.master_key: the environment variable `BLANK` is blank; set a \
           long random key"],
    );
    refused(
        &key("os.environ/NO"),
        &[
            ":1:32: general_settings.master_key: the environment variable `NO` is not set; set `NO` \
           in the environment or in `.env`",
        ],
    );
    refused(
        &key("sk-1234"),
        &[":1:20: general_settings.master_key: this is the key of LiteLLM's documentation, which \
           everybody knows; set a long random key"],
    );
    for unsendable in [r#""a\nb""#, "' k'", r#""k\t""#] {
        refused(
            &key(unsendable),
            &[":1:20: general_settings.master_key: expected a key that an HTTP header can carry, \
               found control characters or blanks around it; set a long random key"],
        );
    }
    let permit = "general_settings: {master_key: sk-1234, \
                  dangerously_permit_weak_or_unset_master_key: true}\n";
    assert!(warned(permit, &[]).master_key.is_some());
}

#[test]
fn without_a_master_key_only_loopback_is_served() {
    let config = read("model_list: []\n").unwrap();
    assert!(config.require_key(true).is_ok());
    let said = config.require_key(false).unwrap_err().to_string();
    assert!(said.contains("LITELLM_MASTER_KEY"), "{said}");
    let with = |pairs: &[(&str, &str)]| {
        let env = Environment::from_pairs(pairs.iter().copied());
        parse(&Arc::from(Path::new("c")), "model_list: []\n", &env, UnknownKeys::Warn)
    };
    let config = with(&[("LITELLM_MASTER_KEY", "sk-x")]).unwrap();
    assert!(config.require_key(false).is_ok());
    let permit = ("LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY", "true");
    assert!(with(&[permit]).unwrap().require_key(false).is_ok());
    for bad in ["sk-1234", " k"] {
        let said = with(&[("LITELLM_MASTER_KEY", bad)]).unwrap_err().to_string();
        assert!(said.starts_with("environment: LITELLM_MASTER_KEY: "), "{said}");
    }
    assert!(with(&[("LITELLM_MASTER_KEY", " ")]).unwrap().master_key.is_none());
}

#[test]
fn routing_strategies_and_aliases_are_checked() {
    let strategy = |name: &str| format!("router_settings: {{routing_strategy: {name}}}\n");
    warned(&strategy("simple-shuffle"), &[]);
    warned(
        &strategy("least-busy"),
        &[":1:37: router_settings.routing_strategy: `least-busy` is not acted on yet; \
           `simple-shuffle` is used"],
    );
    refused(
        &strategy("simple_shufle"),
        &[":1:37: router_settings.routing_strategy: expected a routing strategy, found \
           `simple_shufle`; did you mean `simple-shuffle`?"],
    );
    let config = warned(
        "router_settings: {model_group_alias: {a: m, b: {model: m, hidden: yes}}, timeout: 5}\n",
        &[],
    );
    let aliases = config.router.aliases.iter();
    let aliases: Vec<_> =
        aliases.map(|it| (it.alias.as_str(), it.target.as_str(), it.hidden)).collect();
    assert_eq!(aliases, [("a", "m", false), ("b", "m", true)]);
    assert_eq!(config.router.timeout, Some(Duration::from_secs(5)));
}

#[test]
fn connections_to_upstreams_have_defaults_and_bounds() {
    let default = read("model_list: []\n").unwrap().gateway.upstream;
    assert_eq!((default.idle_timeout, default.max_idle), (None, 128));
    assert_eq!(default.max_age, Duration::from_secs(300));
    let given = "callgate: {upstream: {idle_timeout: 0, max_age: 1h, max_idle: 0}}\n";
    let given = read(given).unwrap().gateway.upstream;
    assert_eq!((given.idle_timeout, given.max_idle), (Some(Duration::ZERO), 0));
    assert_eq!(given.max_age, Duration::from_secs(3600));
    let wrong = "callgate: {upstream: {max_age: 0, max_idle: -1, idle: 4s}}\n";
    let wrong = read(wrong).unwrap_err().to_string();
    for expected in [
        "callgate.upstream.max_age: expected a duration above 0, found 0",
        "callgate.upstream.max_idle: expected a whole number in range",
        "callgate.upstream.idle",
    ] {
        assert!(wrong.contains(expected), "{wrong}");
    }
}

#[test]
fn limits_have_defaults_and_bounds() {
    let config = warned(
        "general_settings: {max_request_size_mb: 0.5}\ncallgate:\n  plugin_dir: so\n  \
         limits: {header_timeout: 5, body_timeout: 500ms, drain_timeout: 0, max_header_bytes: 8192, \
         write_timeout: 2m, max_reply_bytes: 1000, max_inflight_bytes: 1048576}\n",
        &[],
    );
    let limits = config.gateway.limits;
    assert_eq!((limits.max_body_bytes, limits.max_header_bytes), (512 << 10, 8192));
    assert_eq!(limits.header_timeout, Duration::from_secs(5));
    assert_eq!(limits.body_timeout, Duration::from_millis(500));
    assert_eq!(limits.drain_timeout, Duration::ZERO);
    assert_eq!((limits.write_timeout, limits.max_reply_bytes), (Duration::from_secs(120), 1000));
    assert_eq!(limits.max_inflight_bytes, Some(1 << 20));
    refused(
        "callgate: {limits: {max_inflight_bytes: 100}}\n",
        &[
            ":1:41: callgate.limits.max_inflight_bytes: expected room for one request body at least, \
           33554432 bytes (`max_body_bytes`), found 100",
        ],
    );
    assert_eq!(config.gateway.plugin_dir.as_deref(), Some(Path::new("dir/so")));
    assert_eq!(read("model_list: []\n").unwrap().gateway.limits.max_body_bytes, 32 << 20);
    refused(
        "callgate: {limits: {max_body_bytes: 0, header_timeout: 1e99}}\n",
        &[
            ":1:37: callgate.limits.max_body_bytes: expected a size above 0, found 0",
            ":1:56: callgate.limits.header_timeout: expected seconds as a number, or a duration \
             such as `500ms`, `2s`, `1m`, found `1e99`",
        ],
    );
}

#[test]
fn the_files_of_the_field_load_as_written() {
    let env = Environment::from_pairs([
        ("GROQ_API_KEY", "gsk"),
        ("OPENAI_API_KEY", "sk"),
        ("OPENAI_API_BASE", "https://x.ngrok-free.dev/api/v1"),
        ("LITELLM_MASTER_KEY", "sk-other"),
    ]);
    for (text, models, callbacks, key) in [
        (SEED, 10, &["routing", "rate_limit"][..], "sk-local-admin"),
        (SEED_LANGSMITH, 1, &["langsmith"][..], "sk-local-admin"),
        (OWN, 10, &["routing", "rate_limit"][..], "sk-other"),
    ] {
        let file = Arc::from(Path::new("config.yaml"));
        let config = parse(&file, text, &env, UnknownKeys::Refuse).unwrap();
        assert_eq!(config.problems, []);
        assert_eq!(config.models.len(), models);
        let names: Vec<_> = config.callbacks.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, callbacks);
        assert!(config.master_key.unwrap().matches(key.as_bytes()));
    }
}

#[test]
fn without_their_variables_they_still_load() {
    let file = Arc::from(Path::new("config.yaml"));
    let config = parse(&file, SEED, &Environment::default(), UnknownKeys::Warn).unwrap();
    let places: Vec<_> =
        config.problems.iter().map(|it| (it.place.line, it.place.column)).collect();
    assert_eq!(places, [(10, 16), (16, 17), (17, 16), (22, 17), (23, 16)]);
    assert!(config.problems[0].text.contains("`GROQ_API_KEY` is not set"));
}

#[test]
fn secrets_are_nowhere_in_what_is_printed() {
    let text = "general_settings: {master_key: topsecret-1}\n\
                model_list:\n- model_name: m\n  litellm_params:\n    model: openai/x\n    \
                api_key: topsecret-2\n    extra_headers: {authorization: topsecret-3}\n    \
                extra_body: {token: topsecret-4}\n    rpm: 1\n\
                litellm_settings: {callbacks: [{name: a, settings: {key: topsecret-5}}]}\n\
                environment_variables: {S: topsecret-6}\n";
    let config = read(text).unwrap();
    for printed in [format!("{config:?}"), format!("{config:#?}")] {
        assert!(!printed.contains("topsecret"), "{printed}");
    }
    let broken = text.replace("rpm: 1", "rpm: x").replace("topsecret-2", "[topsecret-2]");
    let problems = read(&broken).unwrap_err();
    assert!(!format!("{problems} {problems:?}").contains("topsecret"), "{problems}");
}

#[test]
fn a_key_that_was_meant_to_protect_refuses_the_start() {
    let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
    for (text, said) in [
        ("litellm_setings: {}", "did you mean `litellm_settings`?"),
        ("litellm_settings: {callbaks: [guardrail]}", "did you mean `callbacks`?"),
        ("litellm_settings: {callback: [guardrail]}", "did you mean `callbacks`?"),
        ("general_settings: {mastr_key: x}", "did you mean `master_key`?"),
        ("callbacks: [guardrail]", "`litellm_settings.callbacks`"),
        ("general_settings: {callbacks: [guardrail]}", "`litellm_settings.callbacks`"),
        ("my_settings: {callbacks: [guardrail]}", "`litellm_settings.callbacks`"),
        ("master_key: x", "`general_settings.master_key`"),
        ("litellm_settings: {callbacks: [{name: a, sha265: x}]}", "did you mean `sha256`?"),
        ("litellm_settings: {callbacks: [{name: a, onyl: {}}]}", "did you mean `only`?"),
        ("callgate: {require_pin: true}", "did you mean `require_pins`?"),
    ] {
        let refused = parse(&file, text, &env(), UnknownKeys::Warn).unwrap_err();
        let errors: Vec<_> = refused.errors().map(ToString::to_string).collect();
        assert!(errors.len() == 1 && errors[0].contains(said), "{text}: {errors:?}");
    }
    for harmless in ["modle_list: []", "something: {else: 1}", "litellm_settings: {foo: 1}"] {
        assert!(parse(&file, harmless, &env(), UnknownKeys::Warn).is_ok(), "{harmless}");
    }
}
