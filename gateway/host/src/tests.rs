//! One instance and its host: scopes, permissions, requests, the shutdown.

use super::*;
use plugin_api::Admission;
use std::net::TcpListener;

fn host_with(permissions: Permissions, services: Services) -> CallbackHost {
    let counting = Counting { callback: "c", share: None };
    CallbackHost::new("e".into(), counting, &Arc::new(permissions), &Arc::new(services))
}

#[test]
fn requests_beyond_the_bound_wait_for_their_turn_within_their_timeouts() {
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("its address"));
    let host = host_with(Permissions::for_hosts(&["127.0.0.1"]), Services::new());
    let send = |millis| host.http(HttpRequest::get(&*url).timeout(Duration::from_millis(millis)));
    let running: Vec<_> = (0..MAX_REQUESTS).map(|_| send(60_000)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let error = runtime.block_on(send(5)).expect_err("no turn");
    assert_eq!(error.kind, HostErrorKind::TIMEOUT);
    assert!(error.message.contains("waited 5 ms for its turn"), "{error}");
    let waiting: Vec<_> = (0..MAX_WAITING).map(|_| send(60_000)).collect();
    let error = runtime.block_on(send(60_000)).expect_err("too many wait");
    assert_eq!(error.kind, HostErrorKind::FULL);
    // Whoever gives up makes room, running or waiting.
    drop((running, waiting));
    while host.requests.load(std::sync::atomic::Ordering::SeqCst) > 0 {
        std::thread::yield_now();
    }
    let error = runtime.block_on(send(5)).expect_err("no answer");
    assert!(error.message.contains("did not answer within 5 ms"), "{error}");
}

#[test]
fn permissions_can_be_asked_for() {
    let probed = host_with(Permissions::of_a_probe(), Services::idle());
    let none = host_with(Permissions::default(), Services::idle());
    let kind = |host: &CallbackHost, url| host.permits(url).map_err(|error| error.kind);
    assert_eq!(kind(&none, "https://a.example"), Err(HostErrorKind::NOT_GRANTED));
    assert_eq!(kind(&probed, "https://a.example"), Ok(()));
    assert_eq!(kind(&probed, "a.example"), Err(HostErrorKind::INVALID));
    assert!(probed.has_secret("K") && !none.has_secret("K"));
    assert!(probed.secret("K").is_err());
}

#[test]
fn the_shutdown_is_announced_once_and_to_all() {
    let host = host_with(Permissions::default(), Services::idle());
    let mut early = host.shutdown();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(early.as_mut().poll(&mut context).is_pending());
    host.announce_end();
    assert!(early.as_mut().poll(&mut context).is_ready());
    assert!(host.shutdown().as_mut().poll(&mut context).is_ready());
}

#[test]
fn the_background_of_an_entry_ends_with_its_last_instance() {
    let services = Arc::new(Services::new());
    let counting = Counting { callback: "c", share: None };
    let host = || CallbackHost::new("one".into(), counting, &Arc::default(), &services);
    let (first, second) = (host(), host());
    assert!(Arc::ptr_eq(&first.background, &second.background));
    first.background.handle().expect("it starts");
    let background = Arc::downgrade(&first.background);
    drop(first);
    assert!(background.upgrade().is_some(), "another instance has it");
    drop(second);
    assert!(background.upgrade().is_none());
    let other = CallbackHost::new("two".into(), counting, &Arc::default(), &services);
    assert_eq!(services.backgrounds.lock().expect("no panic").len(), 1, "the dead are forgotten");
    other.background.handle().expect("it starts");
}

#[test]
fn counters_and_values_are_the_entrys_unless_it_shares() {
    let services = Arc::new(Services::idle());
    let host = |entry: &str, callback, share| {
        let counting = Counting { callback, share };
        CallbackHost::new(entry.into(), counting, &Arc::default(), &services)
    };
    let admits = |host: &CallbackHost| {
        let admission = host.counters().admit("w", 1, Duration::from_secs(60));
        let was_set = host.kv().get("k").is_some();
        host.kv().set("k", b"v", None).expect("there is room");
        assert_eq!(matches!(admission, Admission::Admitted(_)), !was_set);
        !was_set
    };
    assert!(admits(&host("one", "limit", None)));
    assert!(admits(&host("two", "limit", None)), "another entry");
    assert!(!admits(&host("one", "limit", None)), "the same entry, restarted");
    assert!(admits(&host("one", "limit", Some("one"))), "a share has its own name");
    assert!(!admits(&host("two", "limit", Some("one"))), "shared on purpose");
    assert!(admits(&host("two", "other", Some("one"))), "another plugin");
}
