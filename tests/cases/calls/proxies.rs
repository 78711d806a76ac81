//! Outgoing proxies: which calls go through one, what it is told, and what the client and the log
//! learn when it does not lead to the upstream.

use callgate_tests::{
    Answer, Gateway, Reply, UPSTREAM_KEY,
    config::{config, deployment, with_param},
    gateway::Setup,
    proxy::{ForwardProxy, ProxyRules},
    tls::{Authority, TlsFront},
    upstream,
};
use serde_json::Value;

/// Exists for proxies only: nothing resolves it.
const NAME: &str = "upstream.invalid";

/// `ann:wonderland-7`
const CREDENTIALS: &str = "Basic YW5uOndvbmRlcmxhbmQtNw==";

fn setup(models: &[Value]) -> Setup {
    Gateway::with_config(config(models))
}

/// The same, trusting an authority.
fn trusting(models: &[Value], authority: &Authority) -> Setup {
    let setup = setup(models).file("authority.pem", &authority.pem());
    let file = setup.config_path().with_file_name("authority.pem");
    setup.env("SSL_CERT_FILE", &file.display().to_string())
}

fn text(reply: Reply) -> String {
    let reply = reply.expect_status(200).json();
    reply["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn https_goes_by_a_tunnel_and_http_by_requests_that_name_the_server() {
    let authority = Authority::new("a");
    let upstream = upstream(Answer::default()).await;
    let front = TlsFront::start(authority.certificate(NAME, 2100), upstream.addr()).await;
    let rules = ProxyRules { credentials: Some(CREDENTIALS), ..ProxyRules::default() };
    let proxy = ForwardProxy::start(rules).await;
    let (plain, secure) = (upstream.addr().port(), front.port());
    let models = [
        deployment("plain", "openai/m", &format!("http://{NAME}:{plain}/v1")),
        deployment("secure", "openai/m", &format!("https://{NAME}:{secure}/v1")),
        deployment("here", "openai/m", &upstream.openai_base()),
    ];
    let url = proxy.url_for("ann:wonderland-7");
    let gateway = trusting(&models, &authority)
        .env("http_proxy", &url)
        .env("HTTPS_PROXY", &url)
        .start()
        .await;
    for model in ["plain", "secure", "secure", "here", "plain"] {
        assert_eq!(text(gateway.client().chat(model).send().await), "Hello world!", "{model}");
    }
    let _ = gateway.client().chat("secure").streaming().send().await.expect_status(200);
    let post = format!("POST http://{NAME}:{plain}/v1/chat/completions");
    // The worker of a connection keeps its tunnel, and one client has one connection.
    let seen = proxy.seen();
    assert!(seen.iter().filter(|it| **it == post).count() == 2, "{seen:?}");
    assert!(seen.contains(&format!("CONNECT {NAME}:{secure}")) && seen.len() >= 3, "{seen:?}");
    for request in upstream.requests() {
        assert_eq!(request.header("authorization"), Some(&*format!("Bearer {UPSTREAM_KEY}")));
        assert_eq!(request.header("proxy-authorization"), None, "meant for the proxy alone");
    }
    let log = gateway.stop().await;
    let said = format!("(3 models, 0 callbacks; upstreams through the proxy {})", proxy.address());
    assert!(log.contains(&said), "{log}");
    assert!(!log.contains("wonderland") && !log.contains("YW5u"), "{log}");
}

#[tokio::test]
async fn an_entry_chooses_its_own_way() {
    let upstream = upstream(Answer::default()).await;
    let (general, own) = (
        ForwardProxy::start(ProxyRules::default()).await,
        ForwardProxy::start(ProxyRules::default()).await,
    );
    let base = format!("http://{NAME}:{}/v1", upstream.addr().port());
    let models = [
        deployment("general", "openai/m", &base),
        with_param(deployment("own", "openai/m", &base), "proxy", "os.environ/OWN_PROXY"),
        with_param(deployment("none", "openai/m", &base), "proxy", "none"),
        with_param(deployment("here", "openai/m", &upstream.openai_base()), "proxy", own.url()),
        with_param(deployment("unset", "openai/m", &base), "proxy", "${NO_SUCH_PROXY}"),
        deployment("exempt", "openai/m", "http://exempt.invalid:9/v1"),
    ];
    let gateway = setup(&models)
        .env("ALL_PROXY", &general.url())
        .env("NO_PROXY", "exempt.invalid:9, 10.0.0.0/8")
        .env("OWN_PROXY", &own.url())
        .start()
        .await;
    for (model, count_general, count_own) in
        [("general", 1, 0), ("own", 1, 1), ("here", 1, 2), ("general", 2, 2)]
    {
        let _ = text(gateway.client().chat(model).send().await);
        let counts = (general.seen().len(), own.seen().len());
        assert_eq!(counts, (count_general, count_own), "{model}");
    }
    for model in ["none", "exempt"] {
        let error = gateway.client().chat(model).send().await.expect_status(502).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("cannot be resolved") && !message.contains("proxy"), "{message}");
    }
    let error = gateway.client().chat("unset").send().await.error();
    assert!(error["message"].as_str().unwrap().contains("NO_SUCH_PROXY"), "{error}");
    assert_eq!((general.seen().len(), own.seen().len()), (2, 2));
    let log = gateway.stop().await;
    assert!(log.contains("; upstreams through the proxies "), "{log}");
    assert!(log.contains(&general.address()) && log.contains(&own.address()), "{log}");
}

/// The message and the status of a call through this proxy.
async fn refused(rules: ProxyRules, user: &str, tls: bool) -> (u16, String) {
    let proxy = ForwardProxy::start(rules).await;
    let url = if user.is_empty() { proxy.url() } else { proxy.url_for(user) };
    let base = format!("{}://{NAME}:9/v1", if tls { "https" } else { "http" });
    let models = [with_param(deployment("gpt", "openai/m", &base), "proxy", url)];
    let gateway = trusting(&models, &Authority::new("a")).start().await;
    let reply = gateway.client().chat("gpt").send().await;
    let (status, message) = (reply.status, reply.error()["message"].as_str().unwrap().to_owned());
    assert!(message.contains(&proxy.address()), "{message}");
    let log = gateway.stop().await;
    assert!(log.contains(&proxy.address()), "{log}");
    for secret in ["wonderland", "YW5u", UPSTREAM_KEY] {
        assert!(!message.contains(secret) && !log.contains(secret), "{message}\n{log}");
    }
    (status, message)
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_the_remedy() {
    let wants = || ProxyRules { credentials: Some(CREDENTIALS), ..ProxyRules::default() };
    let answers = |status| ProxyRules { status: Some(status), ..ProxyRules::default() };
    for tls in [true, false] {
        let (status, message) = refused(wants(), "", tls).await;
        assert_eq!(status, 502, "{message}");
        assert!(message.contains("wants a user") && message.contains("407"), "{message}");
        let (_, message) = refused(wants(), "ann:wonderland-8", tls).await;
        assert!(message.contains("refuses the user"), "{message}");
        let (status, message) = refused(answers(502), "ann:wonderland-7", tls).await;
        assert!(status == 502 && message.contains("502"), "{message}");
    }
    let (_, message) = refused(answers(403), "", true).await;
    assert!(message.contains("403") && message.contains("permit"), "{message}");
    let silent = ProxyRules { silent: true, ..ProxyRules::default() };
    let (status, message) = refused(silent, "", true).await;
    assert!(status == 504 && message.contains("`CONNECT`"), "{message}");
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_named() {
    let proxy = ForwardProxy::start(ProxyRules::default()).await;
    let address = proxy.address();
    drop(proxy);
    let model = deployment("gpt", "openai/m", &format!("https://{NAME}/v1"));
    for proxy in [&*address, "proxy.invalid:3128"] {
        let gateway = trusting(std::slice::from_ref(&model), &Authority::new("a"))
            .env("https_proxy", proxy)
            .start()
            .await;
        let error = gateway.client().chat("gpt").send().await.expect_status(502).error();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(proxy), "{message}");
        assert!(message.contains("refused") || message.contains("resolved"), "{message}");
    }
}

/// A proxy that cannot be used is no reason to call an upstream directly.
#[tokio::test]
async fn unusable_proxies_refuse_the_start_if_an_upstream_needs_them() {
    let here = deployment("here", "openai/m", "http://127.0.0.1:9/v1");
    let there = deployment("there", "openai/m", "https://api.example.com/v1");
    let own = |proxy: &str| with_param(there.clone(), "proxy", proxy);
    for (models, variable, value, refused, said) in [
        (
            vec![here.clone()],
            "ALL_PROXY",
            "socks5://s3cret:1",
            false,
            "ALL_PROXY: expected a proxy",
        ),
        (vec![there.clone()], "ALL_PROXY", "socks5://s3cret:1", true, "found one by SOCKS"),
        (vec![there.clone()], "HTTPS_PROXY", "https://s3cret:1", true, "found one by TLS"),
        (vec![there.clone()], "https_proxy", "http://u:s3cret@", true, "https_proxy: expected"),
        (vec![own("none")], "ALL_PROXY", "socks5://s3cret:1", false, "it is not used"),
        (vec![own("socks5://s3cret:1")], "NO", "x", true, "config.yaml:1:"),
        (
            vec![own("http://u:s3cret@:1")],
            "NO",
            "x",
            true,
            "litellm_params.proxy: expected a proxy",
        ),
    ] {
        let setup = setup(&models).env(variable, value);
        let checked = setup.clone().check().await;
        let output = [checked.stdout, checked.stderr].concat();
        assert_eq!(checked.status.success(), !refused, "{output}");
        assert!(output.contains(said), "{said}: {output}");
        assert!(!output.contains("s3cret"), "{output}");
        if refused {
            assert!(setup.refused().await.stderr.contains(said));
        }
    }
}

#[tokio::test]
async fn a_misspelt_proxy_is_not_sent_to_the_upstream() {
    for key in ["proxi", "http_proxy", "Proxy"] {
        let model = deployment("gpt", "openai/m", "http://127.0.0.1:9/v1");
        let checked = setup(&[with_param(model, key, "http://u:p@proxy:1")]).check().await;
        assert!(!checked.status.success(), "{key}");
        assert!(checked.stderr.contains("did you mean `proxy`?"), "{}", checked.stderr);
    }
}

#[tokio::test]
async fn a_reload_changes_the_way_and_keeps_what_did_not_change() {
    let authority = Authority::new("a");
    let upstream = upstream(Answer::default()).await;
    let front = TlsFront::start(authority.certificate(NAME, 2100), upstream.addr()).await;
    let base = format!("https://{NAME}:{}/v1", front.port());
    let first = ForwardProxy::start(ProxyRules::default()).await;
    let second = ForwardProxy::start(ProxyRules::default()).await;
    let through = |proxy: &ForwardProxy, timeout: u64| {
        let model = with_param(deployment("gpt", "openai/m", &base), "proxy", proxy.url());
        config(&[with_param(model, "timeout", timeout)])
    };
    let setup = trusting(&[], &authority).file("config.yaml", &through(&first, 60).to_string());
    // One worker has one pool.
    let gateway = setup.arg("--num_workers").arg("1").start().await;
    let _ = text(gateway.client().chat("gpt").send().await);
    for (config, tunnels) in [(through(&first, 61), (1, 0)), (through(&second, 61), (1, 1))] {
        gateway.write("config.yaml", config);
        let _ = gateway.client().request("POST", "/admin/reload").send().await.expect_status(200);
        let _ = text(gateway.client().chat("gpt").send().await);
        assert_eq!((first.seen().len(), second.seen().len()), tunnels);
    }
}
