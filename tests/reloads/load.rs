//! Clients that call until they are stopped, each on a connection of its own, and check every
//! answer.

use bytes::Bytes;
use callgate_tests::{Event, MASTER_KEY, sse, within};
use http::HeaderMap;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet};

const CLIENTS: usize = 64;

/// The pause of a client after each call: the machine is busy, and not only waiting for itself.
const PAUSE: Duration = Duration::from_millis(40);

/// The clients.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Latencies>,
}

impl Load {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(call_until(address, number, Arc::clone(&stop)));
        }
        Self { stop, clients }
    }

    /// The latencies and the number of all calls.
    pub(crate) async fn stop(self) -> (Latencies, usize) {
        self.stop.store(true, Relaxed);
        let all = self.clients.join_all().await;
        let all = Latencies(all.into_iter().flat_map(|it| it.0).collect());
        let count = all.0.len();
        (all, count)
    }
}

async fn call_until(address: SocketAddr, client: usize, stop: Arc<AtomicBool>) -> Latencies {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut latencies = Latencies::default();
    let mut newest = 0;
    for call in client.. {
        if stop.load(Relaxed) {
            break;
        }
        let began = Instant::now();
        let (headers, body) = within("an answer", ask(&mut sender, call % 2 == 0)).await;
        latencies.add(began.elapsed());
        let config = if call % 2 == 0 { of_stream(&body) } else { of_json(&headers) };
        assert!(config >= newest, "config {config} after {newest} on one connection");
        newest = config;
        tokio::time::sleep(PAUSE).await;
    }
    latencies
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, stream: bool) -> (HeaderMap, Bytes) {
    let message = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "gpt", "messages": message, "stream": stream}).to_string();
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "gateway")
        .header("authorization", format!("Bearer {MASTER_KEY}"))
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = sender.send_request(request).await.expect("the connection stays open");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    assert_eq!(head.status, 200, "{}", String::from_utf8_lossy(&body));
    (head.headers, body)
}

/// The number of the config that both callbacks of a call show.
fn of_json(headers: &HeaderMap) -> usize {
    let of = |name| headers.get(name).expect("a mark").to_str().unwrap();
    one_config(&[of("x-a"), of("x-b")])
}

/// The same for a stream, whose every chunk with text has both marks.
fn of_stream(body: &[u8]) -> usize {
    let events = Event::all(body);
    assert_eq!(events.last(), Some(&Event::Done), "a whole stream");
    let text = sse::text(&events);
    let marks: Vec<_> = text.split(['[', ']']).skip(1).step_by(2).collect();
    let of = |name: &str| marks.iter().filter(|it| it.starts_with(name)).count();
    let plain: String = text.split(['[', ']']).step_by(2).collect();
    assert_eq!(plain, "Hello world!");
    assert!(of("a ") == of("b ") && of("a ") + of("b ") == marks.len(), "{text}");
    one_config(&marks.iter().map(|it| &it[2..]).collect::<Vec<_>>())
}

/// Each mark is `START/NOW@VERSION`; all must be of one config and one build.
fn one_config(marks: &[&str]) -> usize {
    let first = marks.first().expect("hooks ran");
    assert!(marks.iter().all(|mark| mark == first), "several configs: {marks:?}");
    let (config, _) = first.split_once('@').unwrap();
    let (start, now) = config.split_once('/').unwrap();
    assert_eq!(start, now, "another config took over on the way");
    now.strip_prefix('g').unwrap().parse().unwrap()
}

/// How long calls took.
#[derive(Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn add(&mut self, latency: Duration) {
        self.0.push(latency);
    }

    /// In milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.percentile(99)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).map_or(f64::NAN, |it| it.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, most] = [50, 99, 100].map(|percent| self.percentile(percent));
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, at most {most:.2} ms")
    }
}
