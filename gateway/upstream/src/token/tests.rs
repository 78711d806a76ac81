//! Tokens from scripted issuers on real sockets; the clock is moved between fetches.

use super::*;
use futures_util::future::join_all;
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    sync::mpsc::{self, Receiver},
    thread,
};
use tokio::time;

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

fn issued(token: &str) -> String {
    answer("200 OK", &format!(r#"{{"access_token":"{token}","expires_in":3600}}"#))
}

/// A source whose issuer gives these answers, and then listens no more. Each answer is announced
/// when it was written.
fn source(answers: Vec<String>) -> (Arc<TokenSource>, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = format!("http://{}", listener.local_addr().unwrap());
    let (written, is_written) = mpsc::channel();
    thread::spawn(move || {
        for answer in answers {
            let (mut peer, mut request) = (listener.accept().unwrap().0, Vec::new());
            let mut block = [0; 4096];
            while !request.ends_with(b"&scope=s") {
                let count = peer.read(&mut block).unwrap();
                request.extend_from_slice(&block[..count]);
            }
            peer.write_all(answer.as_bytes()).unwrap();
            drop(peer);
            let _ = written.send(());
        }
    });
    let client = EntraClient::new(&authority, "t", "c", Secret::new("s-000001"), "s");
    (Arc::new(TokenSource::new(client)), is_written)
}

async fn token(source: &Arc<TokenSource>) -> Result<String, TokenError> {
    let connector = Arc::new(Connector::default());
    let token = source.token((&connector, Reuse::default())).await;
    token.map(|token| token.expose().to_owned())
}

async fn later(seconds: u64) {
    time::pause();
    time::advance(Duration::from_secs(seconds)).await;
    time::resume();
}

#[tokio::test]
async fn calls_wait_for_one_fetch() {
    let (source, _) = source(vec![issued("one")]);
    let calls = (0..10).map(|_| token(&source));
    for token in join_all(calls).await {
        assert_eq!(token.unwrap(), "one");
    }
    assert_eq!(source.present().unwrap().expose(), "one");
    assert!(!format!("{source:?}").contains("000001"));
}

#[tokio::test]
async fn calls_that_waited_share_a_failure_and_the_next_one_tries_again() {
    let refusal = r#"{"error":"invalid_client","error_description":"AADSTS1: s-000001 is wrong."}"#;
    let (source, _) = source(vec![answer("401 Unauthorized", refusal), issued("one")]);
    for token in join_all((0..10).map(|_| token(&source))).await {
        let error = token.unwrap_err().to_string();
        assert_eq!(error, "it answered 401: AADSTS1: *** is wrong.");
    }
    assert_eq!(token(&source).await.unwrap(), "one");
}

#[tokio::test]
async fn a_token_is_renewed_beside_the_call_that_finds_it_old() {
    let (source, is_written) = source(vec![issued("one"), issued("two")]);
    assert_eq!(token(&source).await.unwrap(), "one");
    later(3400).await;
    assert_eq!(token(&source).await.unwrap(), "one");
    tokio::task::spawn_blocking(move || {
        is_written.recv().unwrap();
        is_written.recv().unwrap();
    })
    .await
    .unwrap();
    // The renewal has its turn until it has read the answer.
    drop(source.turn.lock().await);
    assert_eq!(token(&source).await.unwrap(), "two");
}

#[tokio::test]
async fn an_expired_token_is_not_sent_even_if_there_is_no_other() {
    let (source, _) = source(vec![issued("one")]);
    assert_eq!(token(&source).await.unwrap(), "one");
    later(3600).await;
    assert!(matches!(token(&source).await, Err(TokenError::Unreachable(_))));
}
