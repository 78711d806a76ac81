//! Upstreams with TLS: only one that proves its identity gets a call, and so the key. For the
//! others the client gets a 502 with the problem and the remedy.

use callgate_tests::{
    Answer, Event, Gateway, Reply, ScriptedUpstream, UPSTREAM_KEY,
    config::{config, deployment},
    sse,
    tls::{Authority, TlsFront},
    upstream, within,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};

const HERE: &str = "127.0.0.1";
const LATER: i32 = 2100;

/// A gateway that trusts `trusted`, with one model at `base`.
async fn gateway(base: &str, trusted: &Authority) -> Gateway {
    let setup = Gateway::with_config(config(&[deployment("gpt", "openai/m", base)]))
        .file("authority.pem", &trusted.pem());
    let file = setup.config_path().with_file_name("authority.pem");
    setup.env("SSL_CERT_FILE", &file.display().to_string()).start().await
}

/// The error of a call whose upstream has this certificate.
async fn refused(front: TlsFront, trusted: &Authority, upstream: &ScriptedUpstream) -> String {
    let gateway = gateway(&front.openai_base(), trusted).await;
    let mut message = String::new();
    for stream in [false, true] {
        let reply: Reply = gateway.client().chat("gpt").set("stream", stream).send().await;
        let error = reply.expect_status(502).error();
        assert_eq!(error["code"], "upstream_unreachable", "{error}");
        error["message"].as_str().unwrap().clone_into(&mut message);
    }
    assert_eq!(upstream.journal().connections, 0, "a call went to a server nobody knows");
    let log = gateway.stop().await;
    assert!(!log.contains(UPSTREAM_KEY), "{log}");
    message
}

#[tokio::test]
async fn calls_and_streams_pass() {
    let authority = Authority::new("a");
    let upstream = upstream(Answer::default()).await;
    let front = TlsFront::start(authority.certificate(HERE, LATER), upstream.addr()).await;
    let gateway = gateway(&front.openai_base(), &authority).await;
    for _ in 0..3 {
        let reply = gateway.client().chat("gpt").send().await.expect_status(200).json();
        assert_eq!(reply["choices"][0]["message"]["content"], "Hello world!");
        let events = gateway.client().chat("gpt").streaming().send().await.events();
        assert_eq!(sse::text(&events), "Hello world!");
        assert_eq!(events.last(), Some(&Event::Done));
    }
    let key = format!("Bearer {UPSTREAM_KEY}");
    assert!(upstream.requests().iter().all(|it| it.header("authorization") == Some(&*key)));
    gateway.stop().await;
}

#[tokio::test]
async fn an_unknown_authority_is_named_with_its_remedy() {
    let ours = Authority::new("ours");
    for theirs in [Authority::new("theirs"), Authority::new("ours")] {
        let upstream = upstream(Answer::default()).await;
        let front = TlsFront::start(theirs.certificate(HERE, LATER), upstream.addr()).await;
        let message = refused(front, &ours, &upstream).await;
        assert!(message.contains("that is not trusted here"), "{message}");
        assert!(message.contains("SSL_CERT_FILE"), "{message}");
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::new("a");
    let upstream = upstream(Answer::default()).await;
    let certificate = authority.certificate("other.example", LATER);
    let front = TlsFront::start(certificate, upstream.addr()).await;
    let message = refused(front, &authority, &upstream).await;
    assert!(message.contains("another host name") && message.contains("api_base"), "{message}");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new("a");
    let upstream = upstream(Answer::default()).await;
    let front = TlsFront::start(authority.certificate(HERE, 2001), upstream.addr()).await;
    let message = refused(front, &authority, &upstream).await;
    assert!(message.contains("expired"), "{message}");
}

/// A server that answers the first bytes, if at all, and then reads to the end.
async fn plain_server(answer: &'static str) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let base = format!("https://{}/v1", listener.local_addr().unwrap());
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        stream.read_buf(&mut heard).await.unwrap();
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    (base, heard)
}

#[tokio::test]
async fn a_server_without_tls_gets_no_key() {
    let (base, heard) = plain_server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let gateway = gateway(&base, &Authority::new("a")).await;
    let error = gateway.client().chat("gpt").send().await.expect_status(502).error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("does not speak TLS"), "{message}");
    let heard = within("the connection's end", heard).await.unwrap();
    assert!(!String::from_utf8_lossy(&heard).contains(UPSTREAM_KEY));
    gateway.stop().await;
}

#[tokio::test]
async fn a_handshake_that_hangs_is_the_connect_limits() {
    let (base, heard) = plain_server("").await;
    let gateway = gateway(&base, &Authority::new("a")).await;
    let error = gateway.client().chat("gpt").send().await.expect_status(504).error();
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("TLS handshake") && message.contains("10 s"), "{message}");
    assert!(!message.contains("stream_timeout"), "no setting of a timeout helps: {message}");
    let heard = within("the connection's end", heard).await.unwrap();
    assert!(!String::from_utf8_lossy(&heard).contains(UPSTREAM_KEY));
    gateway.stop().await;
}
