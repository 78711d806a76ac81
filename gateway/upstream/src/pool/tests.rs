//! When idle connections close, with real sockets and a paused clock.

use super::{super::Io, *};
use callgate_config::Proxies;
use std::{
    io::Read as _,
    net::{TcpListener, TcpStream as Peer},
};
use tokio::net::TcpStream;

/// A listener and its origin.
fn upstream() -> (TcpListener, Arc<Origin>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let direct = Connector::new(Proxies::default(), Arc::default());
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let origin = origin(&direct, &url).unwrap();
    (listener, origin)
}

/// A connection in use, and its other end.
async fn lease((listener, origin): &(TcpListener, Arc<Origin>)) -> (Lease, Peer) {
    let address = listener.local_addr().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let peer = listener.accept().unwrap().0;
    (Lease::new(origin, UpstreamConnection::new(Io::Plain(stream))), peer)
}

fn idle() -> usize {
    POOL.with_borrow(|pool| pool.idle.values().map(VecDeque::len).sum())
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether the gateway closed its end.
fn is_closed(mut peer: &Peer) -> bool {
    peer.set_nonblocking(true).unwrap();
    matches!(peer.read(&mut [0]), Ok(0))
}

#[tokio::test(start_paused = true)]
async fn idle_connections_give_their_descriptors_up() {
    let upstreams = [upstream(), upstream()];
    let mut peers = Vec::new();
    for upstream in &upstreams {
        let (lease, peer) = lease(upstream).await;
        lease.give_back(&Reuse::default(), None);
        peers.push(peer);
    }
    assert_eq!(idle(), 2);
    assert!(shed());
    assert_eq!(idle(), 0);
    assert!(peers.iter().all(is_closed));
    assert!(!shed());
}

#[tokio::test(start_paused = true)]
async fn idle_connections_end_in_time_without_another_call() {
    let reuse = Reuse { max_age: seconds(60), ..Reuse::default() };
    let own = |time| Reuse { idle_timeout: Some(seconds(time)), ..reuse };
    for (reuse, announced, expected) in [
        (reuse, None, 4),
        (own(20), None, 20),
        (own(20), Some(11), 10),
        (own(20), Some(75), 20),
        (own(100), None, 60),
        (reuse, Some(2), 1),
        (
            Reuse { idle_timeout: Some(Duration::MAX), max_age: Duration::MAX, ..reuse },
            Some(31),
            30,
        ),
    ] {
        let upstream = upstream();
        let (lease, peer) = lease(&upstream).await;
        lease.give_back(&reuse, announced.map(seconds));
        tokio::time::sleep(seconds(expected) - Duration::from_millis(1)).await;
        assert_eq!(idle(), 1, "{reuse:?} {announced:?}");
        tokio::time::sleep(SWEEP * 2).await;
        assert_eq!((idle(), is_closed(&peer)), (0, true), "{reuse:?} {announced:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_must_not_be_kept_is_closed_at_once() {
    let reuse = Reuse::default();
    for (reuse, announced) in [
        (Reuse { max_idle: 0, ..reuse }, None),
        (Reuse { idle_timeout: Some(Duration::ZERO), ..reuse }, None),
        (reuse, Some(1)),
        (reuse, Some(0)),
    ] {
        let (lease, peer) = lease(&upstream()).await;
        lease.give_back(&reuse, announced.map(seconds));
        assert_eq!((idle(), is_closed(&peer)), (0, true), "{reuse:?} {announced:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_grows_old() {
    let upstream = upstream();
    let reuse = Reuse { max_age: seconds(10), ..Reuse::default() };
    let (mut lease, peer) = lease(&upstream).await;
    for _ in 0..3 {
        lease.give_back(&reuse, None);
        tokio::time::sleep(seconds(3)).await;
        lease = take(&upstream.1).unwrap();
        assert!(lease.is_reused());
    }
    tokio::time::sleep(seconds(1)).await;
    lease.give_back(&reuse, None);
    assert_eq!((idle(), is_closed(&peer)), (0, true));
}

#[tokio::test(start_paused = true)]
async fn what_an_upstream_closed_is_swept_below_a_busy_one() {
    let upstream = upstream();
    let reuse = Reuse { idle_timeout: Some(seconds(50)), ..Reuse::default() };
    let (mut leases, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let (lease, peer) = lease(&upstream).await;
        leases.push(lease);
        peers.push(peer);
    }
    leases.into_iter().for_each(|lease| lease.give_back(&reuse, None));
    assert_eq!(idle(), 20);
    // All except the most recent one.
    peers.drain(..19);
    tokio::time::sleep(SWEEP * 2).await;
    assert_eq!(idle(), 1);
    assert!(take(&upstream.1).is_some());
    tokio::time::sleep(SWEEP * 2).await;
    assert!(POOL.with_borrow(|pool| pool.idle.is_empty() && !pool.swept));
    // The next connection starts the task again.
    let (lease, peer) = lease(&upstream).await;
    lease.give_back(&reuse, None);
    drop(peer);
    tokio::time::sleep(SWEEP * 2).await;
    assert_eq!(idle(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_close_is_seen_before_the_runtime_knows_of_it() {
    let upstream = upstream();
    for spoken in [false, true] {
        let (lease, mut peer) = lease(&upstream).await;
        lease.give_back(&Reuse::default(), None);
        if spoken {
            std::io::Write::write_all(&mut peer, b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
        } else {
            drop(peer);
        }
        // Nothing was awaited meanwhile.
        assert!(take(&upstream.1).is_none(), "{spoken}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_idle_gives_way() {
    let upstream = upstream();
    let reuse = Reuse { max_idle: 2, ..Reuse::default() };
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (lease, peer) = lease(&upstream).await;
        lease.give_back(&reuse, None);
        peers.push(peer);
    }
    assert_eq!(idle(), 2);
    assert_eq!(peers.iter().map(is_closed).collect::<Vec<_>>(), [true, false, false]);
}
