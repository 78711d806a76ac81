//! When each address is tried, with an injected connector and a paused clock.

use super::*;
use std::{cell::RefCell, future::pending};
use tokio::time::{Instant, sleep};

/// What an address does.
#[derive(Debug, Clone, Copy)]
enum Does {
    Connect(u64),
    Refuse(u64),
    Nothing,
}

fn address(index: usize, v6: bool) -> SocketAddr {
    let text =
        if v6 { format!("[::{}]:80", index + 1) } else { format!("10.0.0.{}:80", index + 1) };
    text.parse().unwrap()
}

/// The winning address and its time in milliseconds, when each attempt began, and the failures.
async fn raced(script: &[Does]) -> (Option<(usize, u128)>, Vec<u128>, String) {
    let begun = RefCell::new(Vec::new());
    let start = Instant::now();
    let addresses: Vec<_> = (0..script.len()).map(|index| address(index, false)).collect();
    let connect = |to: SocketAddr| {
        let index = addresses.iter().position(|it| *it == to).unwrap();
        begun.borrow_mut().push(start.elapsed().as_millis());
        let does = script[index];
        async move {
            match does {
                Does::Connect(after) => {
                    sleep(Duration::from_millis(after)).await;
                    Ok(index)
                }
                Does::Refuse(after) => {
                    sleep(Duration::from_millis(after)).await;
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
                Does::Nothing => pending().await,
            }
        }
    };
    let mut failed = FailedDials::default();
    let racing = first(addresses.clone(), connect, &mut failed);
    let won = tokio::time::timeout(Duration::from_secs(10), racing).await.unwrap_or(None);
    let won = won.map(|index| (index, start.elapsed().as_millis()));
    (won, begun.into_inner(), failed.to_string())
}

#[tokio::test(start_paused = true)]
async fn a_silent_address_costs_a_quarter_of_a_second() {
    use Does::{Connect, Nothing, Refuse};
    for (script, winner, begun) in [
        (&[Connect(5)][..], Some((0, 5)), &[0][..]),
        (&[Connect(249), Connect(0)], Some((0, 249)), &[0]),
        (&[Nothing, Connect(5)], Some((1, 255)), &[0, 250]),
        (&[Nothing, Nothing, Connect(5)], Some((2, 505)), &[0, 250, 500]),
        (&[Refuse(1), Connect(5)], Some((1, 6)), &[0, 1]),
        (&[Refuse(1), Refuse(1), Refuse(1)], None, &[0, 1, 2]),
        // A slow attempt may still win after the next one has begun.
        (&[Connect(300), Nothing], Some((0, 300)), &[0, 250]),
        (&[Connect(300), Refuse(10)], Some((0, 300)), &[0, 250]),
        (&[Nothing, Refuse(10), Connect(1)], Some((2, 261)), &[0, 250, 260]),
        (&[Nothing, Nothing], None, &[0, 250]),
        (&[], None, &[]),
    ] {
        let (won, tried, _) = raced(script).await;
        assert_eq!((won, &*tried), (winner, begun), "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_errors_of_all_addresses_are_kept() {
    let (_, _, failed) = raced(&[Does::Refuse(1), Does::Nothing, Does::Refuse(2)]).await;
    assert_eq!(failed, "10.0.0.1:80: connection refused; 10.0.0.3:80: connection refused");
}

#[test]
fn families_take_turns() {
    fn of(families: &[bool]) -> impl Iterator<Item = SocketAddr> {
        families.iter().enumerate().map(|(at, v6)| address(at, *v6))
    }
    for (found, expected) in [
        (&[][..], &[][..]),
        (&[true], &[0]),
        (&[true, true, false, false], &[0, 2, 1, 3]),
        (&[false, false, false, true], &[0, 3, 1, 2]),
        (&[false, true, true, true], &[0, 1, 2, 3]),
    ] {
        let all: Vec<_> = of(found).collect();
        let expected: Vec<_> = expected.iter().map(|at: &usize| all[*at]).collect();
        assert_eq!(in_turn(of(found)), expected, "{found:?}");
    }
}

#[test]
fn a_lack_of_descriptors_is_the_cause_among_others() {
    let of = |codes: &[i32]| {
        let failed =
            codes.iter().map(|code| (address(0, false), io::Error::from_raw_os_error(*code)));
        FailedDials(failed.collect()).into_cause()
    };
    let (refused, files) = (111, rustix::io::Errno::MFILE.raw_os_error());
    assert!(lacks_descriptors(&of(&[files, refused])));
    assert_eq!(of(&[files, refused, 113]).raw_os_error(), Some(files));
    assert_eq!(of(&[113, refused]).raw_os_error(), Some(refused));
    assert_eq!(of(&[]).kind(), io::ErrorKind::NotFound);
}

#[tokio::test]
async fn a_connection_is_watched_for_a_peer_that_vanished() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stream = dial(("127.0.0.1", port), &mut FailedDials::default()).await.unwrap().unwrap();
    assert!(sockopt::socket_keepalive(&stream).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&stream).unwrap(), KEEP_ALIVE_IDLE);
    assert!(stream.nodelay().unwrap());
}
