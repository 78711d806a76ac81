//! `ssl_verify` and `ssl_certificate`, of all upstreams and of one: which servers get a call, what
//! they get to see, and which files refuse the start.

use callgate_tests::{
    Answer, Gateway, ScriptedUpstream,
    config::{config, deployment, with_param},
    gateway::Setup,
    tls::{Authority, TlsFront},
    upstream,
};
use serde_json::{Value, json};

const HERE: &str = "127.0.0.1";
const LATER: i32 = 2100;

fn general(models: &[Value], settings: &Value) -> Value {
    let mut config = config(models);
    config["litellm_settings"] = settings.clone();
    config
}

async fn front(authority: &Authority, upstream: &ScriptedUpstream) -> TlsFront {
    TlsFront::start(authority.certificate(HERE, LATER), upstream.addr()).await
}

/// Writes the certificates of both authorities beside the config; this machine trusts `other`.
fn setup(config: &Value, own: &Authority, other: &Authority) -> Setup {
    let setup =
        Gateway::with_config(config).file("own.pem", &own.pem()).file("other.pem", &other.pem());
    let trusted = setup.config_path().with_file_name("other.pem");
    setup.env("SSL_CERT_FILE", &trusted.display().to_string())
}

/// The status of a call, and its error's message.
async fn called(gateway: &Gateway, model: &str) -> (u16, String) {
    let reply = gateway.client().chat(model).send().await;
    if reply.status == 200 {
        return (200, String::new());
    }
    (reply.status, reply.error()["message"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn an_entry_trusts_its_own_authority_alone() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let upstream = upstream(Answer::default()).await;
    let (by_own, by_other) = (front(&own, &upstream).await, front(&other, &upstream).await);
    let model = |name: &str, front: &TlsFront, verify: Value| {
        with_param(deployment(name, "openai/m", &front.openai_base()), "ssl_verify", verify)
    };
    let models = [
        model("own", &by_own, json!("own.pem")),
        model("variable", &by_own, json!("os.environ/CA")),
        model("off", &by_own, json!(false)),
        model("wrong", &by_own, json!("other.pem")),
        model("system", &by_own, json!(true)),
        model("narrow", &by_other, json!("own.pem")),
        model("trusted", &by_other, json!(true)),
        model("default", &by_other, Value::Null),
        model("unset", &by_own, json!("os.environ/NO_CA")),
    ];
    let setup = setup(&config(&models), &own, &other);
    let ca = setup.config_path().with_file_name("own.pem").display().to_string();
    let gateway = setup.env("CA", &ca).start().await;
    for (model, status) in [
        ("own", 200),
        ("variable", 200),
        ("off", 200),
        ("wrong", 502),
        ("system", 502),
        ("narrow", 502),
        ("trusted", 200),
        ("default", 200),
    ] {
        let (found, message) = called(&gateway, model).await;
        assert_eq!(found, status, "{model}: {message}");
        if status == 502 {
            assert!(message.contains("not trusted") && message.contains("ssl_verify"), "{message}");
        }
    }
    let (_, message) = called(&gateway, "unset").await;
    assert!(message.contains("NO_CA"), "{message}");
    let log = gateway.stop().await;
    assert_eq!(log.matches("no server's identity is checked").count(), 1, "{log}");
    assert!(log.contains("model_list[2].litellm_params.ssl_verify"), "{log}");
}

#[tokio::test]
async fn the_general_setting_is_overridden_by_the_variable_and_by_an_entry() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let upstream = upstream(Answer::default()).await;
    let by_own = front(&own, &upstream).await;
    let plain = deployment("plain", "openai/m", &by_own.openai_base());
    let strict = deployment("strict", "openai/m", &by_own.openai_base());
    let models = [plain, with_param(strict, "ssl_verify", true)];
    for (settings, variable, plain) in [
        (json!({}), None, 502),
        (json!({"ssl_verify": false}), None, 200),
        (json!({"ssl_verify": "own.pem"}), None, 200),
        (json!({"ssl_verify": "other.pem"}), Some("False"), 200),
        (json!({"ssl_verify": false}), Some("true"), 502),
    ] {
        let mut setup = setup(&general(&models, &settings), &own, &other);
        if let Some(value) = variable {
            setup = setup.env("SSL_VERIFY", value);
        }
        let gateway = setup.start().await;
        assert_eq!(called(&gateway, "plain").await.0, plain, "{settings} {variable:?}");
        assert_eq!(called(&gateway, "strict").await.0, 502, "{settings} {variable:?}");
    }
}

#[tokio::test]
async fn trusted_certificates_may_come_from_the_environment_file() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let upstream = upstream(Answer::default()).await;
    let front = front(&own, &upstream).await;
    let config = config(&[deployment("gpt", "openai/m", &front.openai_base())]);
    let setup = Gateway::with_config(&config).file("own.pem", &own.pem());
    let path = setup.config_path().with_file_name("own.pem").display().to_string();
    let gateway = setup.file(".env", &format!("SSL_CERT_FILE={path}\n")).start().await;
    assert_eq!(called(&gateway, "gpt").await.0, 200);
    drop(other);
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_gets_the_entrys() {
    let (own, clients) = (Authority::new("own"), Authority::new("clients"));
    let upstream = upstream(Answer::default()).await;
    let front = TlsFront::start(own.certificate_for(HERE, &clients), upstream.addr()).await;
    let model = |name: &str, params: &[(&str, &str)]| {
        let model = deployment(name, "openai/m", &front.openai_base());
        let model = with_param(model, "ssl_verify", "own.pem");
        params.iter().fold(model, |model, (key, value)| with_param(model, key, *value))
    };
    let models = [
        model("two", &[("ssl_certificate", "c.pem"), ("ssl_certificate_key", "k.pem")]),
        model("one", &[("ssl_certificate", "both.pem")]),
        model("foreign", &[("ssl_certificate", "foreign.pem")]),
        model("general", &[]),
    ];
    let (certificate, key) = clients.client("gateway", LATER);
    let foreign = own.client("gateway", LATER);
    let with = |settings: &Value| {
        setup(&general(&models, settings), &own, &own)
            .file("c.pem", &certificate)
            .file("k.pem", &key)
            .file("both.pem", &[&*key, &*certificate].concat())
            .file("foreign.pem", &[foreign.0.as_str(), &foreign.1].concat())
    };
    let gateway = with(&json!({})).start().await;
    for _ in 0..2 {
        for model in ["two", "one"] {
            assert_eq!(called(&gateway, model).await, (200, String::new()), "{model}");
        }
    }
    let (status, message) = called(&gateway, "general").await;
    assert!(status == 502 && message.contains("wants a certificate"), "{message}");
    let (status, message) = called(&gateway, "foreign").await;
    assert!(status == 502 && message.contains("refuses the certificate"), "{message}");
    let log = gateway.stop().await;
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    for (setup, model) in [
        (with(&json!({"ssl_certificate": "c.pem", "ssl_certificate_key": "k.pem"})), "general"),
        (with(&json!({"ssl_certificate": "both.pem"})), "general"),
        (with(&json!({"ssl_certificate_key": "k.pem"})).env("SSL_CERTIFICATE", "c.pem"), "general"),
    ] {
        let gateway = setup.start().await;
        assert_eq!(called(&gateway, model).await, (200, String::new()));
        assert_eq!(called(&gateway, "foreign").await.0, 502, "the entry's own counts");
    }
}

/// Every file that cannot be used refuses a start, a check and a reload, at the line of its key.
#[tokio::test]
async fn unusable_files_refuse_the_start() {
    let own = Authority::new("own");
    let (certificate, key) = own.client("gateway", LATER);
    let (expired, expired_key) = own.client("gateway", 2001);
    let files = [
        ("ca.pem", own.pem()),
        ("c.pem", certificate.clone()),
        ("k.pem", key),
        ("expired.pem", [expired.as_str(), &expired_key].concat()),
        ("old-ca.pem", expired.clone()),
        ("text.pem", "no certificate".to_owned()),
        ("broken.pem", certificate.replacen("MI", "AA", 1)),
        ("cut.pem", certificate[..certificate.len() / 2].to_owned()),
        ("other-key.pem", expired_key),
    ];
    for (params, said) in [
        (
            json!({"ssl_verify": "nope.pem"}),
            "ssl_verify: expected true, false, or a file with PEM certificates at `",
        ),
        (json!({"ssl_verify": "."}), "found a folder"),
        (json!({"ssl_verify": "text.pem"}), "expected certificates in PEM, found none"),
        (json!({"ssl_verify": "broken.pem"}), "found a broken one"),
        (json!({"ssl_verify": "cut.pem"}), "it is no whole PEM"),
        (json!({"ssl_verify": "old-ca.pem"}), "found one that expired on 2001-01-01"),
        (json!({"ssl_verify": ["ca.pem"]}), "expected true, false or a file"),
        (
            json!({"ssl_certificate": "nope.pem"}),
            "ssl_certificate: expected a file with PEM certificates at `",
        ),
        (json!({"ssl_certificate": true}), "expected the path of a PEM file, found `true`"),
        (json!({"ssl_certificate": "c.pem"}), "write the file of its key in `ssl_certificate_key`"),
        (json!({"ssl_certificate": "expired.pem"}), "found one that expired on 2001-01-01"),
        (json!({"ssl_certificate_key": "k.pem"}), "expected `ssl_certificate` beside it"),
        (
            json!({"ssl_certificate": "c.pem", "ssl_certificate_key": "other-key.pem"}),
            "ssl_certificate_key: in `",
        ),
        (
            json!({"ssl_certificate": "c.pem", "ssl_certificate_key": "c.pem"}),
            "expected a private key in PEM, found none",
        ),
    ] {
        let mut model = deployment("gpt", "openai/m", "https://127.0.0.1:9/v1");
        for (key, value) in params.as_object().unwrap() {
            model = with_param(model, key, value.clone());
        }
        for config in [config(&[model]), general(&[], &params)] {
            let setup = Gateway::with_config(config);
            let setup = files.iter().fold(setup, |setup, (name, text)| setup.file(name, text));
            for ended in [setup.clone().check().await, setup.refused().await] {
                assert!(!ended.status.success(), "{params}");
                assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
                assert!(ended.stderr.contains("config.yaml:1:"), "{}", ended.stderr);
                assert_eq!(ended.stderr.matches(said).count(), 1, "{}", ended.stderr);
            }
        }
    }
}

#[tokio::test]
async fn a_reload_takes_a_new_certificate_and_keeps_connections_of_unchanged_ones() {
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let upstream = upstream(Answer::default()).await;
    let (by_first, by_second) = (front(&first, &upstream).await, front(&second, &upstream).await);
    let model = |name: &str, front: &TlsFront| {
        let model = deployment(name, "openai/m", &front.openai_base());
        with_param(model, "ssl_verify", format!("{name}.pem"))
    };
    let config = config(&[model("kept", &by_first), model("changed", &by_second)]);
    let setup = Gateway::with_config(&config)
        .file("kept.pem", &first.pem())
        .file("changed.pem", &first.pem());
    // One worker has one pool.
    let gateway = setup.arg("--num_workers").arg("1").start().await;
    assert_eq!(called(&gateway, "kept").await.0, 200);
    assert_eq!(called(&gateway, "changed").await.0, 502);
    let connections = upstream.journal().connections;
    gateway.write("changed.pem", second.pem());
    let reload = || async { gateway.client().request("POST", "/admin/reload").send().await };
    let _ = reload().await.expect_status(200);
    assert_eq!(called(&gateway, "kept").await.0, 200);
    assert_eq!(upstream.journal().connections, connections, "its connection is kept");
    assert_eq!(called(&gateway, "changed").await.0, 200);
    gateway.write("changed.pem", "broken");
    assert!(reload().await.expect_status(422).text().contains("expected certificates in PEM"));
    assert_eq!(called(&gateway, "changed").await.0, 200, "what served before serves on");
}
