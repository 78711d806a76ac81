//! `callgate check`: the result of a start without the start.

use callgate_tests::{
    Answer, Gateway, MASTER_KEY, UPSTREAM_KEY, build,
    config::{config, openai, with_callbacks},
    upstream, within,
};
use serde_json::json;

#[tokio::test]
async fn a_good_file_passes_without_touching_anything() {
    let upstream = upstream(Answer::default()).await;
    let config = with_callbacks(&[openai(&upstream)], &json!(["routing", "rate_limit"]));
    let ended = Gateway::with_config(config).check().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    assert_eq!(upstream.journal().connections, 0);
    for secret in [MASTER_KEY, UPSTREAM_KEY] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    }
}

#[tokio::test]
async fn a_manifest_that_lists_a_hook_its_code_lacks_is_an_error() {
    let faulty = build::plugin("faulty");
    let told = |name: &str| json!({"name": name, "path": faulty, "instance": format!("i-{name}")});
    let honest = ["faulty", "faulty_async", "faulty_beside", "recorder", "recorder_async"];
    let honest = honest.map(told);
    let ended = Gateway::with_config(with_callbacks(&[], &json!(honest))).check().await;
    assert!(ended.status.success(), "{}", ended.stderr);
    for (required, severity) in [(true, "error"), (false, "warning")] {
        let mut liar = told("liar");
        liar["required"] = json!(required);
        let ended = Gateway::with_config(with_callbacks(&[], &json!([liar]))).check().await;
        assert_eq!(ended.status.success(), !required, "{}", ended.stderr);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let lines: Vec<_> = said.lines().filter(|line| line.contains("on_llm_")).collect();
        assert_eq!(lines.len(), 1, "{said}");
        assert!(lines[0].starts_with(&format!("{severity}: ")), "{said}");
        for word in ["config.yaml:1:", "callbacks[0]: plugin `liar`", "`on_llm_end`, which"] {
            assert!(lines[0].contains(word), "{word}: {said}");
        }
    }
}

#[tokio::test]
async fn it_refuses_what_a_start_refuses_in_the_same_words() {
    let mut bad = config(&[json!({"model_name": "a", "litellm_params": {"model": "foo/x"}})]);
    bad["litellm_settings"] = json!({"callbacks": ["nosuch"]});
    let checked = Gateway::with_config(&bad).check().await;
    let started = Gateway::with_config(&bad).refused().await;
    assert!(!checked.status.success());
    assert_eq!(checked.status.code(), started.status.code());
    for ended in [&checked, &started] {
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(said.contains("model_list[0]") && said.contains("foo"), "{said}");
    }
}

#[tokio::test]
async fn the_report_as_json_says_where_each_problem_is() {
    let upstream = upstream(Answer::default()).await;
    let bedrock = json!({"model_name": "az", "litellm_params": {"model": "bedrock/gpt"}});
    for (models, ok) in [(vec![bedrock.clone(), openai(&upstream)], true), (vec![bedrock], false)] {
        let ended = Gateway::with_config(config(&models)).arg("--json").check().await;
        assert_eq!(ended.status.success(), ok, "{}", ended.stderr);
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let keys = report["keys"].as_array().unwrap();
        for (index, standing) in ["not supported", "honoured"].iter().enumerate() {
            let path = format!("model_list[{index}].litellm_params.model");
            let key = keys.iter().find(|it| it["key"] == path);
            assert!(key.is_none_or(|it| it["standing"] == *standing), "{report}");
        }
        let problem = &report["problems"][0];
        assert_eq!((&report["ok"], &problem["line"]), (&json!(ok), &json!(1)));
        assert_eq!(problem["key"], "model_list[0].litellm_params.model");
        assert_eq!(problem["severity"], if ok { "warning" } else { "error" });
        let text = problem["text"].as_str().unwrap_or_default();
        assert!(text.starts_with("the provider `bedrock` is not supported"), "{report}");
        let summary = report["summary"].as_str().unwrap_or_default();
        assert!(summary.starts_with(if ok { "config OK" } else { "1 error" }), "{report}");
    }
}

#[tokio::test]
async fn it_says_what_becomes_of_every_key() {
    let upstream = upstream(Answer::default()).await;
    let mut model = openai(&upstream);
    model["litellm_params"]["rpm"] = json!(5);
    let mut given = config(&[model.clone(), model]);
    given["litellm_settings"] = json!({"set_verbose": true, "num_retries": 2, "numretries": 1});
    let setup = || Gateway::with_config(&given);
    let (plain, all) = (setup().check().await.stdout, setup().arg("--keys").check().await.stdout);
    let rows = |text: &str, standing: &str| {
        let rows = text.lines().filter(|line| line.starts_with(standing));
        rows.map(|line| line.split_once("config.yaml:").unwrap().1.to_owned()).collect::<Vec<_>>()
    };
    for text in [&plain, &all] {
        let rpm = "1, 1: model_list[].litellm_params.rpm: it weighs the choice";
        assert!(rows(text, "approximated")[0].starts_with(rpm), "{text}");
        let verbose = "1: litellm_settings.set_verbose: `RUST_LOG`";
        assert!(rows(text, "no effect here")[0].starts_with(verbose), "{text}");
        let counts =
            "14 keys: 9 honoured, 2 approximated, 1 no effect here, 1 not supported, 1 unknown";
        assert!(text.contains(counts), "{text}");
    }
    assert_eq!(rows(&plain, "honoured").len() + rows(&plain, "unknown").len(), 0, "{plain}");
    assert!(rows(&all, "honoured").contains(&"1: general_settings.master_key".to_owned()), "{all}");
    assert!(rows(&all, "unknown")[0].ends_with("did you mean `num_retries`?"), "{all}");
    let report = setup().arg("--json").check().await.stdout;
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["key_counts"]["honoured"], 9, "{report}");
    let keys = report["keys"].as_array().unwrap();
    let retries = keys.iter().find(|it| it["key"] == "litellm_settings.num_retries").unwrap();
    assert_eq!((&retries["standing"], &retries["line"]), (&json!("not supported"), &json!(1)));
}

#[tokio::test]
async fn content_must_stay_out_only_of_callbacks_that_may_keep_it() {
    let upstream = upstream(Answer::default()).await;
    let audit = |content: bool| json!({"name": "audit_log", "settings": {"path": "audit.log", "content": content}});
    for (callback, refused) in [
        (json!("rate_limit"), false),
        (json!("langsmith"), true),
        (json!("langfuse"), false),
        (audit(false), false),
        (audit(true), true),
    ] {
        let mut given = with_callbacks(&[openai(&upstream)], &json!([callback]));
        given["litellm_settings"]["turn_off_message_logging"] = json!(true);
        let ended = Gateway::with_config(&given).arg("--json").check().await;
        let report: serde_json::Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(report["ok"], !refused, "{callback}: {report}");
        let keys = report["keys"].as_array().unwrap();
        let path = "litellm_settings.turn_off_message_logging";
        let key = keys.iter().find(|it| it["key"] == path).unwrap();
        let standing = if refused { "not supported" } else { "no effect here" };
        assert_eq!(key["standing"], standing, "{callback}: {key}");
    }
}

#[tokio::test]
async fn a_config_without_one_usable_entry_is_refused() {
    let groq = json!({"model_name": "a", "litellm_params": {"model": "groq/x"}});
    let given = config(std::slice::from_ref(&groq));
    let ended = Gateway::with_config(&given).check().await;
    let said = "model_list: no entry works, because each needs a variable that is not set or blank: \
                `GROQ_API_KEY`";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let started = Gateway::with_config(&given).refused().await;
    assert!(started.stderr.contains(said), "{}", started.stderr);
    assert!(Gateway::with_config(&given).env("GROQ_API_KEY", "k").check().await.status.success());
}

#[tokio::test]
async fn the_start_says_who_can_call() {
    let upstream = upstream(Answer::default()).await;
    let keyed = config(&[openai(&upstream)]);
    let keyless = json!({"model_list": [openai(&upstream)]});
    for (config, host, said) in [
        (&keyed, "127.0.0.1", "for programs of this machine, with a key ("),
        (&keyless, "127.0.0.1", "for programs of this machine, without a key ("),
        (&keyed, "0.0.0.0", "for every machine that reaches this one, with a key ("),
        // The default: with a key as in LiteLLM.
        (&keyed, "", "for every machine that reaches this one, with a key ("),
        (&keyless, "", "for programs of this machine, without a key ("),
    ] {
        let gateway = Gateway::with_config(config).arg("--host").arg(host).start().await;
        let log = gateway.stop().await;
        let line = log.lines().find(|line| line.contains("listening on http")).unwrap();
        assert!(line.contains(said), "{host}: {line}");
    }
}

#[tokio::test]
async fn it_knows_the_address_of_the_start() {
    let upstream = upstream(Answer::default()).await;
    let keyless = json!({"model_list": [openai(&upstream)]});
    for (setup, passes) in [
        (Gateway::with_config(&keyless), true),
        (Gateway::with_config(&keyless).env("HOST", "0.0.0.0"), false),
        (Gateway::with_config(&keyless).arg("--host").arg("0.0.0.0"), false),
        (Gateway::with_config(&keyless).file(".env", "HOST=0.0.0.0"), false),
        (Gateway::with_config(&keyless).file(".env", "HOST=0.0.0.0").env("HOST", "::1"), true),
        (Gateway::with_config(&keyless).env("PORT", "many"), false),
    ] {
        let ended = setup.check().await;
        assert_eq!(ended.status.success(), passes, "{}{}", ended.stdout, ended.stderr);
        let last = if passes { ended.stdout } else { ended.stderr };
        let last = last.lines().last().unwrap().to_owned();
        let expected =
            if passes { "config OK (1 model, 0 callbacks), 1 warning" } else { "1 error, " };
        assert!(last.starts_with(expected), "{last}");
    }
}

#[tokio::test]
async fn the_log_level_may_be_in_the_environment_file() {
    let upstream = upstream(Answer::default()).await;
    let file = "RUST_LOG=debug\n";
    let setup = Gateway::with_config(config(&[openai(&upstream)])).file(".env", file);
    let gateway = setup.start().await;
    let _ = gateway.client().get("/v1/models").await.expect_status(200);
    assert!(gateway.stop().await.contains("\"level\":\"DEBUG\""));
}

#[tokio::test]
async fn it_says_what_callbacks_warn_of_and_strict_refuses_it() {
    let upstream = upstream(Answer::default()).await;
    let limits = json!({"limits": [{"provider": "opneai", "requests": 1, "per": "1 min"}]});
    let limit = json!({"name": "rate_limit", "settings": limits});
    let model = json!({"limits": [{"model": "gtp", "requests": 1, "per": "1 min"}]});
    let model = json!({"name": "rate_limit", "settings": model});
    let only = json!({"name": "rate_limit", "only": {"keys": ["nobody"]}});
    for (callback, said) in [
        (json!("langsmith"), "`LANGSMITH_API_KEY` is not set"),
        (model, "settings.limits[0].model: no `model_name` of the config fits `gtp`"),
        (only, "only.keys[0]: no key has the id `nobody`"),
        (
            limit,
            "no deployment has the provider `opneai`, so this applies to no call; did you mean",
        ),
    ] {
        let config = with_callbacks(&[openai(&upstream)], &json!([callback]));
        let ended = Gateway::with_config(&config).check().await;
        assert!(ended.status.success(), "{}", ended.stderr);
        assert!(ended.stdout.contains(said), "{}", ended.stdout);
        assert!(ended.stdout.trim_end().ends_with("(1 model, 1 callback), 1 warning"));
        let checked = Gateway::with_config(&config).arg("--strict").check().await;
        let started = Gateway::with_config(&config).arg("--strict").refused().await;
        for ended in [checked, started] {
            assert!(!ended.status.success() && ended.stderr.contains(said), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn missing_certificates_are_reported() {
    let model = json!({"model_name": "gpt",
        "litellm_params": {"model": "openai/x", "api_base": "https://127.0.0.1:9/v1", "api_key": "k"}});
    for (setup, said) in [
        (
            Gateway::with_config(config(std::slice::from_ref(&model)))
                .env("SSL_CERT_FILE", "/nope"),
            "`/nope`",
        ),
        (
            Gateway::with_config(config(std::slice::from_ref(&model)))
                .env("SSL_CERT_FILE", "/etc/hostname"),
            "one without certificates",
        ),
        (Gateway::with_config(config(&[model])).file(".env", "SSL_CERT_FILE=/x"), "`/x`"),
    ] {
        let ended = setup.check().await;
        assert!(ended.stdout.contains("SSL_CERT_FILE: "), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.contains(said), "{}{}", ended.stdout, ended.stderr);
    }
}

#[tokio::test]
async fn missing_plugin_folders_and_dangling_links_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("liblinked.so")).unwrap();
    let routing = with_callbacks(&[], &json!(["routing"]));
    let linked = with_callbacks(&[], &json!(["linked"]));
    let setup = Gateway::with_config(&linked).plugin_dir(Some(folder.path().into()));
    let said = setup.check().await.stderr;
    assert!(
        said.contains("found it in none") && !said.contains("did you mean `linked`?"),
        "{said}"
    );
    let setup = Gateway::with_config(&routing).plugin_dir(Some("nope".into()));
    let said = setup.check().await.stdout;
    let expected = "--plugin-dir: expected a folder of plugins at `nope`, found none";
    assert!(said.contains(expected), "{said}");
}

fn in_place_of_the_config(
    config: &serde_json::Value,
    target: &str,
) -> callgate_tests::gateway::Setup {
    let setup = Gateway::with_config(config).without_config();
    std::os::unix::fs::symlink(target, setup.config_path()).unwrap();
    setup
}

/// `check` and start both report at once every configured path that is not a regular file.
#[tokio::test]
async fn what_is_no_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let model = json!({"model_name": "gpt",
        "litellm_params": {"model": "openai/x", "api_base": "https://127.0.0.1:9/v1", "api_key": "k"}});
    let plain = config(std::slice::from_ref(&model));
    let plugin = with_callbacks(&[model], &json!([{"name": "a", "path": pipe}]));
    for (setup, said) in [
        (in_place_of_the_config(&plain, pipe), "the config cannot be read"),
        (in_place_of_the_config(&plain, "/"), "found a folder"),
        (in_place_of_the_config(&plain, "/dev/null"), "found a device"),
        (Gateway::with_config(&plain).arg("--env-file").arg(pipe), "the environment file cannot"),
        (Gateway::with_config(&plugin), "plugin `"),
        (Gateway::with_config(&plain).env("SSL_CERT_FILE", pipe), "SSL_CERT_FILE: expected a file"),
        (
            Gateway::with_config(&plain).env("SSL_CERT_DIR", folder.path().to_str().unwrap()),
            "SSL_CERT_DIR: expected a file",
        ),
        (
            Gateway::with_config("a: 1\nb: \0\n"),
            "config.yaml:2:4: the config cannot be read: expected UTF-8 text, found a NUL byte",
        ),
        (Gateway::with_config(&plain).file(".env", "A=1\0"), ".env:1:4: the environment file"),
    ] {
        for ended in [setup.clone().check().await, setup.refused().await] {
            assert!(!ended.status.success(), "{}", ended.stdout);
            assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
            let named = ["found a named pipe", "found a folder", "found a device", "found a NUL"];
            assert!(named.iter().any(|it| ended.stderr.contains(it)), "{}", ended.stderr);
        }
    }
}

#[tokio::test]
async fn missing_folders_of_certificates_are_reported() {
    let empty = tempfile::tempdir().unwrap();
    let empty = empty.path().to_str().unwrap();
    let model = json!({"model_name": "gpt",
        "litellm_params": {"model": "openai/x", "api_base": "https://127.0.0.1:9/v1", "api_key": "k"}});
    for (folders, said) in [
        ("/nope", "expected a folder of PEM certificates at `/nope`"),
        ("/etc/hostname", "expected a folder of PEM certificates at `/etc/hostname`"),
        (empty, "expected folders with PEM certificates, found none"),
    ] {
        let setup = Gateway::with_config(config(std::slice::from_ref(&model)));
        let ended = setup.env("SSL_CERT_DIR", folders).check().await;
        assert!(ended.stdout.contains(&format!("SSL_CERT_DIR: {said}")), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_start_command_of_litellms_works() {
    let upstream = upstream(Answer::default()).await;
    let config = config(&[openai(&upstream)]);
    let line = ["--num_workers", "3", "--detailed_debug", "--run_gunicorn", "--telemetry", "False"];
    let setup = line.iter().fold(Gateway::with_config(&config), |setup, word| setup.arg(word));
    let gateway = setup.start().await;
    let tasks = format!("/proc/{}/task", gateway.pid());
    let workers = || {
        let threads = std::fs::read_dir(&tasks).unwrap();
        let name = |it: std::fs::DirEntry| std::fs::read_to_string(it.path().join("comm")).ok();
        let names = threads.filter_map(|it| name(it.unwrap()));
        names.filter(|name| name.starts_with("worker-")).count()
    };
    // A thread sets its name only when it runs.
    within("three workers", async {
        while workers() < 3 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(workers(), 3);
    let log = gateway.stop().await;
    assert!(log.contains("--run_gunicorn: this has no effect here"), "{log}");
    let misspelt = Gateway::with_config(&config).arg("--num_wrokers").arg("4").refused().await;
    assert!(misspelt.stderr.contains("did you mean `--num_workers`?"), "{}", misspelt.stderr);
}

#[tokio::test]
async fn names_that_are_files_or_python_get_a_sentence_of_their_own() {
    let upstream = upstream(Answer::default()).await;
    for name in ["librouting.so", "custom_callbacks.proxy_handler_instance"] {
        let config = with_callbacks(&[openai(&upstream)], &json!([name]));
        let ended = Gateway::with_config(config).check().await;
        let said = if name == "librouting.so" {
            "`./librouting.so`"
        } else {
            "Python callbacks are not run"
        };
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}
