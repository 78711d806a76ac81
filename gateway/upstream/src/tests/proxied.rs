//! Requests through scripted proxies: what the proxy is told, and what each of its answers means.

use super::*;
use callgate_config::ProxyServer;

/// A connector whose proxy is at this address.
fn through(user: &str, address: &str) -> Arc<Connector> {
    let proxy = ProxyServer::parse(&format!("http://{user}{address}")).unwrap();
    Connector::new(Proxies::always(Some(proxy)), Arc::default())
}

/// A listener and its address.
fn proxy() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Reads up to the blank line.
fn head_of(peer: &mut Peer) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && peer.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test]
async fn a_plain_request_names_its_server_and_carries_the_credentials() {
    let (listener, address) = proxy();
    let peers = thread::spawn(move || {
        let mut peer = listener.accept().unwrap().0;
        [(); 2].map(|()| {
            let request = request_of(&mut peer).unwrap();
            peer.write_all(ANSWER).unwrap();
            String::from_utf8(request).unwrap()
        })
    });
    let connector = through("u:p@", &address);
    for _ in 0..2 {
        // No such name exists: the proxy alone would look it up.
        let answer = ask_by(&connector, "http://up.invalid:81/v1?a", b"{}").await;
        assert_eq!(answer.unwrap(), "ok");
    }
    let expected = "POST http://up.invalid:81/v1?a HTTP/1.1\r\nhost: up.invalid:81\r\n\
                    proxy-authorization: Basic dTpw\r\ncontent-length: 2\r\n\r\n{}";
    assert_eq!(peers.join().unwrap(), [expected, expected], "and the connection is kept");
}

#[tokio::test]
async fn a_connection_through_a_proxy_serves_no_direct_call() {
    let (listener, address) = proxy();
    let peers = thread::spawn(move || {
        let mut heads = Vec::new();
        let mut open = Vec::new();
        for _ in 0..3 {
            let mut peer = listener.accept().unwrap().0;
            let request = String::from_utf8(request_of(&mut peer).unwrap()).unwrap();
            heads.push(request.lines().next().unwrap_or_default().to_owned());
            peer.write_all(ANSWER).unwrap();
            open.push(peer);
        }
        heads
    });
    // The proxy is the server itself, so that only its key keeps a connection apart.
    let url = format!("http://{address}/v1");
    let absolute = format!("POST {url} HTTP/1.1");
    for connector in [through("", &address), Arc::clone(&DIRECT), through("u@", &address)] {
        assert_eq!(ask_by(&connector, &url, b"{}").await.unwrap(), "ok");
    }
    assert_eq!(peers.join().unwrap(), [&*absolute, "POST /v1 HTTP/1.1", &*absolute]);
}

#[tokio::test]
async fn each_answer_to_connect_has_its_meaning() {
    let nothing = "";
    let wants = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
    for (user, answer, expected) in [
        ("", wants, "it wants a user and a password"),
        ("u:p@", wants, "it refuses the user or the password"),
        ("", "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "it answered 502"),
        ("", "HTTP/1.0 403 Forbidden\r\n\r\n", "it answered 403"),
        ("", nothing, "it closed the connection without an answer"),
        ("", "HTTP/1.1 200 OK\r\n\r\nmore", "opened no tunnel"),
        ("", "SSH-2.0-x\r\n", "the exchange with it broke: its answer is not HTTP/1.1"),
    ] {
        let (listener, address) = proxy();
        let peers = thread::spawn(move || {
            let mut peer = listener.accept().unwrap().0;
            let head = head_of(&mut peer);
            peer.write_all(answer.as_bytes()).unwrap();
            head
        });
        let error = ask_by(&through(user, &address), "https://up.invalid/v1", b"{}").await;
        let error = error.unwrap_err();
        assert!(matches!(error, UpstreamError::Proxy { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(expected) && text.contains(&address), "{answer:?}: {text}");
        assert!(!text.contains("u:p") && !text.contains("dTpw"), "{text}");
        let line = if user.is_empty() { "" } else { "proxy-authorization: Basic dTpw\r\n" };
        let told = format!(
            "CONNECT up.invalid:443 HTTP/1.1\r\nhost: up.invalid:443\r\n\
             user-agent: {USER_AGENT}\r\n{line}\r\n"
        );
        assert_eq!(peers.join().unwrap(), told);
    }
}

#[tokio::test]
async fn a_407_counts_as_the_proxys_only_if_it_reads_the_request() {
    let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
    let (listener, address) = proxy();
    let peers = thread::spawn(move || {
        for _ in 0..2 {
            let mut peer = listener.accept().unwrap().0;
            request_of(&mut peer).unwrap();
            peer.write_all(answer).unwrap();
        }
    });
    let url = format!("http://{address}/v1");
    let error = ask_by(&through("", &address), &url, b"{}").await.unwrap_err();
    let UpstreamError::Proxy { proxy, fault: ProxyFault::NoCredentials } = error else {
        panic!("{error:?}")
    };
    assert_eq!(proxy, address);
    assert_eq!(ask(&url, b"{}").await.unwrap(), "", "a direct server's answer is passed on");
    peers.join().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_proxy_is_named_when_the_time_is_over() {
    let (listener, address) = proxy();
    let error = ask_by(&through("", &address), "https://up.invalid/v1", b"{}").await.unwrap_err();
    let phase = ConnectPhase::Tunnel(address.clone());
    assert!(
        matches!(&error, UpstreamError::ConnectTimeout { phase: it, .. } if *it == phase),
        "{error:?}"
    );
    assert!(error.to_string().contains(&address), "{error}");
    drop(listener);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named() {
    let (listener, address) = proxy();
    drop(listener);
    for url in ["http://up.invalid/v1", "https://up.invalid/v1"] {
        let error = ask_by(&through("", &address), url, b"{}").await.unwrap_err();
        let UpstreamError::Proxy { proxy, fault: ProxyFault::Unreachable(inner) } = error else {
            panic!("{error:?}")
        };
        assert_eq!(proxy, address);
        assert!(inner.to_string().contains("refused"), "{inner}");
    }
}
