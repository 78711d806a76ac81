//! Requests of callbacks through the operator's proxies and certificates, as calls go.

use super::services::{called, entry, said};
use callgate_tests::{
    Answer, Endpoint, Gateway,
    config::{openai, with_callbacks},
    proxy::{ForwardProxy, ProxyRules},
    tls::{Authority, TlsFront},
    upstream,
};
use serde_json::{Value, json};

/// Exists for proxies only: nothing resolves it.
const NAME: &str = "collector.invalid";

/// `ann:wonderland-7`
const CREDENTIALS: &str = "Basic YW5uOndvbmRlcmxhbmQtNw==";

fn port(endpoint: &Endpoint) -> String {
    endpoint.url().rsplit_once(':').unwrap().1.to_owned()
}

/// What the hooks learnt of their requests so far.
async fn outcomes(gateway: &Gateway, count: usize) -> Vec<String> {
    gateway.log().times(r#""message":"http""#, count).await;
    let lines = gateway.log().lines();
    lines.iter().filter(|line| line.message() == "http").map(said).collect()
}

/// A config whose callback sends these requests for each call.
fn config(upstream: &callgate_tests::ScriptedUpstream, urls: &[String]) -> Value {
    let steps: Vec<_> = urls.iter().map(|url| json!({"http": {"url": url, "body": "b"}})).collect();
    let grants = json!({"http_hosts": [NAME, "127.0.0.1"]});
    let mut entry = entry("all_services_async", json!({"on_llm_start": steps}), grants);
    entry["timeout"] = json!(60);
    with_callbacks(&[openai(upstream)], &json!([entry]))
}

#[tokio::test]
async fn requests_go_through_the_proxies_of_the_environment() {
    let authority = Authority::new("a");
    let upstream = upstream(Answer::default()).await;
    let other = Endpoint::start(|_, _| Some((201, "yes".to_owned()))).await;
    let address = other.url().trim_start_matches("http://").parse().unwrap();
    let front = TlsFront::start(authority.certificate(NAME, 2100), address).await;
    let rules = ProxyRules { credentials: Some(CREDENTIALS), ..ProxyRules::default() };
    let proxy = ForwardProxy::start(rules).await;
    let urls = [
        format!("http://{NAME}:{}/plain?q", port(&other)),
        format!("https://{NAME}:{}/secure", front.port()),
        format!("{}/here", other.url()),
    ];
    let url = proxy.url_for("ann:wonderland-7");
    let gateway = Gateway::with_config(config(&upstream, &urls))
        .file("authority.pem", &authority.pem())
        .file(".env", &format!("HTTPS_PROXY={url}\nhttp_proxy={url}\nSSL_VERIFY=authority.pem\n"))
        .start()
        .await;
    called(&gateway).await;
    assert_eq!(outcomes(&gateway, 3).await, ["ok: 201 yes"; 3]);
    let plain = format!("POST http://{NAME}:{}/plain?q", port(&other));
    assert_eq!(proxy.seen(), [plain, format!("CONNECT {NAME}:{}", front.port())]);
    let taken = other.came(3).await;
    let lines: Vec<_> = taken.iter().map(|it| it.line.as_str()).collect();
    assert_eq!(lines, ["POST /plain?q", "POST /secure", "POST /here"]);
    assert!(taken.iter().all(|it| it.header("proxy-authorization").is_none()));
    let log = gateway.stop().await;
    assert!(!log.contains("wonderland") && !log.contains("YW5u"), "{log}");
}

#[tokio::test]
async fn a_callback_learns_which_proxy_refused_its_request() {
    let upstream = upstream(Answer::default()).await;
    let rules = ProxyRules { credentials: Some(CREDENTIALS), ..ProxyRules::default() };
    let proxy = ForwardProxy::start(rules).await;
    let urls = [format!("http://{NAME}/x"), format!("https://{NAME}/x")];
    let gateway = Gateway::with_config(config(&upstream, &urls))
        .env("ALL_PROXY", &proxy.url_for("ann:wonderland-8"))
        .start()
        .await;
    called(&gateway).await;
    for outcome in outcomes(&gateway, 2).await {
        assert!(outcome.starts_with("unreachable: no answer of `collector.invalid`"), "{outcome}");
        assert!(outcome.contains(&proxy.address()), "{outcome}");
        assert!(!outcome.contains("wonderland"), "{outcome}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_way_of_later_requests() {
    let upstream = upstream(Answer::default()).await;
    let other = Endpoint::start(|_, _| Some((201, "yes".to_owned()))).await;
    let (first, second) = (
        ForwardProxy::start(ProxyRules::default()).await,
        ForwardProxy::start(ProxyRules::default()).await,
    );
    let config = config(&upstream, &[format!("http://{NAME}:{}/x", port(&other))]);
    let variables = |proxy: &ForwardProxy| format!("http_proxy={}\n", proxy.url());
    let gateway = Gateway::with_config(config).file(".env", &variables(&first)).start().await;
    called(&gateway).await;
    let _ = outcomes(&gateway, 1).await;
    gateway.write(".env", variables(&second));
    let reload = gateway.client().request("POST", "/admin/reload").send().await;
    let _ = reload.expect_status(200);
    called(&gateway).await;
    assert_eq!(outcomes(&gateway, 2).await, ["ok: 201 yes"; 2]);
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
}
