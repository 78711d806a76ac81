//! A listening socket that a service manager hands over: one gateway takes over from another
//! without a refused connection.

use super::{apply, modest, setup};
use callgate_tests::{MASTER_KEY, Raw, raw::status};
use serde_json::json;
use std::net::TcpListener;

#[tokio::test]
async fn connections_wait_while_one_gateway_follows_another() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let config = modest(&json!([]));
    let first = setup(&config).start_on(&socket).await;
    assert_eq!(first.address(), address);
    let _ = first.client().get("/v1/models").await.expect_status(200);
    apply(&first, &config).await;
    first.stop().await;
    // Nobody accepts it yet.
    let mut raw = Raw::connect(address).await;
    let ask = format!(
        "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {MASTER_KEY}\r\n\
         Connection: close\r\n\r\n"
    );
    raw.send(ask).await;
    let second = setup(&config).start_on(&socket).await;
    assert_eq!(status(&raw.read_to_end().await), 200);
    second.stop().await;
}

#[tokio::test]
async fn a_socket_that_others_reach_needs_a_master_key_like_a_host() {
    let mut open = modest(&json!([]));
    open["general_settings"] = json!({});
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    // The command line does not matter then.
    let ended = setup(&open).arg("--host").arg("127.0.0.1").ended_on(&socket).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    let said = "expected a master key, because the address is not loopback";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = setup(&open).start_on(&socket).await;
    let _ = gateway.client().without_key().get("/v1/models").await.expect_status(200);
}

#[tokio::test]
async fn what_is_no_listening_socket_is_refused() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(socket.local_addr().unwrap()).unwrap();
    let not_listening = TcpListener::from(std::os::fd::OwnedFd::from(stream));
    let ended = setup(&modest(&json!([]))).ended_on(&not_listening).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("LISTEN_FDS"), "{}", ended.stderr);
}
