//! Requests to scripted peers on real sockets.

mod proxied;

use super::*;
use callgate_config::Proxies;
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream as Peer},
    sync::{Arc, LazyLock, mpsc},
    thread,
};

static DIRECT: LazyLock<Arc<Connector>> =
    LazyLock::new(|| Connector::new(Proxies::default(), Arc::default()));

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

async fn ask(url: &str, body: &'static [u8]) -> Result<String, UpstreamError> {
    ask_by(&DIRECT, url, body).await
}

async fn ask_by(
    connector: &Connector,
    url: &str,
    body: &'static [u8],
) -> Result<String, UpstreamError> {
    let body: Slices = [Bytes::from_static(body)].into();
    let with = (connector, Reuse::default());
    let mut answer = post(url, Bytes::new(), body, with).await?;
    let mut text = Vec::new();
    while let Some(piece) = answer.next().await {
        text.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Reads one whole request.
fn request_of(peer: &mut Peer) -> Option<Vec<u8>> {
    let (mut request, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let count = peer.read(&mut block).ok().filter(|count| *count > 0)?;
        request.extend_from_slice(&block[..count]);
        if request.ends_with(b"{}") {
            return Some(request);
        }
    }
}

/// A listener and its URL.
fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_connection_that_was_closed_before_is_not_used() {
    let (listener, url) = listener();
    let (closed, is_closed) = mpsc::channel();
    let peers = thread::spawn(move || {
        for _ in 0..3 {
            let mut peer = listener.accept().unwrap().0;
            request_of(&mut peer).unwrap();
            peer.write_all(ANSWER).unwrap();
            drop(peer);
            closed.send(()).unwrap();
        }
    });
    for _ in 0..3 {
        assert_eq!(ask(&url, b"{}").await.unwrap(), "ok");
        is_closed.recv().unwrap();
    }
    peers.join().unwrap();
}

/// As in a worker: the runtime says when it has waited, and is believed for a moment.
#[test]
fn a_close_that_the_runtime_has_seen_needs_no_look_at_the_socket() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().on_thread_unpark(note_wait).build().unwrap();
    let (listener, url) = listener();
    let (closed, mut is_closed) = tokio::sync::mpsc::unbounded_channel();
    let peers = thread::spawn(move || {
        for answers in [1, 3, 2] {
            let mut peer = listener.accept().unwrap().0;
            for _ in 0..answers {
                request_of(&mut peer).unwrap();
                peer.write_all(ANSWER).unwrap();
            }
            drop(peer);
            closed.send(()).unwrap();
        }
    });
    runtime.block_on(async {
        for answers in [1, 3, 2] {
            for _ in 0..answers {
                assert_eq!(ask(&url, b"{}").await.unwrap(), "ok");
            }
            is_closed.recv().await.unwrap();
        }
    });
    peers.join().unwrap();
}

#[tokio::test]
async fn a_call_that_may_have_been_read_is_not_repeated() {
    let (listener, url) = listener();
    let peers = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        request_of(&mut peer).unwrap();
        peer.write_all(ANSWER).unwrap();
        // The second request is read but not answered.
        request_of(&mut peer).unwrap();
        drop(peer);
        listener.set_nonblocking(true).unwrap();
        listener
    });
    assert_eq!(ask(&url, b"{}").await.unwrap(), "ok");
    let error = ask(&url, b"{}").await.unwrap_err();
    assert!(matches!(error, UpstreamError::ClosedIdle(_)), "{error:?}");
    let listener = peers.join().unwrap();
    assert!(listener.accept().is_err(), "the call came again");
}

#[tokio::test]
async fn the_first_call_of_a_connection_is_not_one_on_an_idle_one() {
    let (listener, url) = listener();
    let peers = thread::spawn(move || drop(listener.accept().unwrap()));
    let error = ask(&url, b"{}").await.unwrap_err();
    assert!(matches!(error, UpstreamError::Broken(_)), "{error:?}");
    peers.join().unwrap();
}

#[tokio::test]
async fn an_interim_answer_does_not_end_the_sending() {
    static LARGE: [u8; 8 << 20] = {
        let mut body = [b' '; 8 << 20];
        body[body.len() - 2] = b'{';
        body[body.len() - 1] = b'}';
        body
    };
    let (listener, url) = listener();
    let peers = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        // Before it reads the request: the sender has to wait, and to read.
        peer.write_all(b"HTTP/1.1 103 Early Hints\r\n").unwrap();
        peer.write_all(b"Link: <x>\r\n\r\n").unwrap();
        let request = request_of(&mut peer).unwrap();
        peer.write_all(ANSWER).unwrap();
        request.len()
    });
    assert_eq!(ask(&url, &LARGE).await.unwrap(), "ok");
    assert!(peers.join().unwrap() > LARGE.len());
}

#[tokio::test]
async fn an_answer_before_the_request_was_read_counts() {
    static LARGE: [u8; 8 << 20] = [b' '; 8 << 20];
    let (listener, url) = listener();
    let peers = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        peer.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig").unwrap();
        // Kept open, because closing with unread bytes would reset the connection.
        peer
    });
    assert_eq!(ask(&url, &LARGE).await.unwrap(), "big");
    drop(peers.join().unwrap());
}
