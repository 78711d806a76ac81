//! Entra ID: the token that a client gets and its calls send, and what happens without one.

use callgate_tests::{
    Answer, Gateway, Received, Script, ScriptedUpstream,
    config::{config, deployment},
    scripted, upstream,
};
use serde_json::{Value, json};

/// The upstream answers requests for tokens, too.
async fn issuer(answers: impl IntoIterator<Item = Answer>) -> ScriptedUpstream {
    scripted(Script::default().path("/oauth2/v2.0/token", answers)).await
}

fn issued(token: &str, seconds: u32) -> Answer {
    let body = json!({"token_type": "Bearer", "expires_in": seconds, "access_token": token});
    Answer::fixed(200, "application/json", body.to_string())
}

/// An entry that names its client of Entra ID.
fn of_client(name: &str, base: &str) -> Value {
    let params = json!({"model": "azure/d", "api_base": base, "tenant_id": "my-tenant",
                        "client_id": "my-client", "client_secret": "os.environ/MY_SECRET"});
    json!({"model_name": name, "litellm_params": params})
}

fn tokens_asked(upstream: &ScriptedUpstream) -> Vec<Received> {
    let mut requests = upstream.requests();
    requests.retain(|it| it.path.ends_with("/oauth2/v2.0/token"));
    requests
}

#[tokio::test]
async fn a_client_of_entra_id_gets_one_token_for_all_its_entries() {
    let upstream = issuer([issued("eyJ-entra-000001", 3599)]).await;
    let base = upstream.ollama_base();
    let by_variables =
        json!({"model_name": "other", "litellm_params": {"model": "azure/e", "api_base": base}});
    let models = [of_client("az", &base), of_client("too", &base), by_variables];
    let gateway = Gateway::with_config(config(&models))
        .env("MY_SECRET", "s&cret-000001")
        .env("AZURE_TENANT_ID", "my-tenant")
        .env("AZURE_CLIENT_ID", "my-client")
        .env("AZURE_CLIENT_SECRET", "s&cret-000001")
        .env("AZURE_AUTHORITY_HOST", &base)
        .start()
        .await;
    let calls: Vec<_> =
        ["az", "az", "too", "other"].map(|it| gateway.client().chat(it).spawn()).into();
    for call in calls {
        let _ = call.await.unwrap().expect_status(200);
    }
    let asked = tokens_asked(&upstream);
    let [asked] = &asked[..] else { panic!("one fetch, found {}", asked.len()) };
    assert_eq!((&*asked.method, &*asked.path), ("POST", "/my-tenant/oauth2/v2.0/token"));
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    let form = "grant_type=client_credentials&client_id=my-client&client_secret=s%26cret-000001\
                &scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default";
    assert_eq!(String::from_utf8_lossy(&asked.body), form);
    for sent in upstream.requests().iter().filter(|it| it.path.contains("/chat/completions")) {
        assert_eq!(sent.header("authorization"), Some("Bearer eyJ-entra-000001"));
        assert_eq!(sent.header("api-key"), None);
    }
    let log = gateway.stop().await;
    assert!(!log.contains("000001"), "{log}");
}

#[tokio::test]
async fn a_token_that_cannot_be_fetched_fails_the_call_with_the_reason() {
    let refusal = json!({"error": "invalid_client", "error_description":
        "AADSTS7000215: Invalid client secret provided: 's&cret-000001'. Trace ID: 7 Timestamp: 8"});
    let refused = Answer::fixed(401, "application/json", refusal.to_string());
    let page = Answer::fixed(200, "text/html", "<html>");
    let answers = [refused, page, Answer::close(), issued("eyJ-entra-000001", 3599)];
    let upstream = issuer(answers).await;
    let base = upstream.ollama_base();
    let gateway = Gateway::with_config(config(&[of_client("az", &base)]))
        .env("MY_SECRET", "s&cret-000001")
        .env("AZURE_AUTHORITY_HOST", &base)
        .start()
        .await;
    for said in [
        "it refused `client_id` or `client_secret`: AADSTS7000215: Invalid client secret provided: \
         '***'.",
        "its answer has no token",
        "Entra ID cannot be reached: its answer broke off",
    ] {
        let error = gateway.client().chat("az").send().await.expect_status(502).error();
        assert_eq!(error["code"], "no_upstream_token");
        let expected = format!("there is no token of Entra ID for `azure` for model `az`: {said}");
        assert_eq!(error["message"], expected);
    }
    let _ = gateway.client().chat("az").send().await.expect_status(200);
    assert_eq!(tokens_asked(&upstream).len(), 4);
    let log = gateway.stop().await;
    assert!(log.contains("/my-tenant/oauth2/v2.0/token") && !log.contains("000001"), "{log}");
}

#[tokio::test]
async fn a_client_without_its_secret_cannot_be_served() {
    let upstream = upstream(Answer::default()).await;
    let base = upstream.ollama_base();
    let params = json!({"model": "azure/d", "api_base": base, "tenant_id": "t", "client_id": "c"});
    let half = json!({"model_name": "half", "litellm_params": params});
    let models = [half, of_client("unset", &base), deployment("fine", "azure/d", &base)];
    let setup = Gateway::with_config(config(&models));
    let gateway = setup.clone().start().await;
    for (model, status, said) in [
        ("half", 400, "expected `client_secret` for a token of Entra ID, found none"),
        ("unset", 500, "MY_SECRET"),
    ] {
        let reply = gateway.client().chat(model).send().await.expect_status(status);
        assert!(reply.text().contains(said), "{}", reply.text());
    }
    let _ = gateway.client().chat("fine").send().await.expect_status(200);
    gateway.stop().await;
    let plain = setup.env("MY_SECRET", "s").env("AZURE_AUTHORITY_HOST", "http://login.example");
    let log = plain.start().await.stop().await;
    assert!(
        log.contains("AZURE_AUTHORITY_HOST: expected a URL that begins with `https://`"),
        "{log}"
    );
}
