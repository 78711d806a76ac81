//! An HTTP server for requests by callbacks, which it records.

use crate::within;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

/// A recorded request.
#[derive(Debug, Clone)]
pub struct Taken {
    /// `POST /path`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

impl Taken {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// The answer to a request: a status and a body, or no answer at all.
pub type Given = Option<(u16, String)>;

type Answers = Arc<dyn Fn(usize, &Taken) -> Given + Send + Sync>;

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct Endpoint {
    address: SocketAddr,
    taken: watch::Receiver<Vec<Taken>>,
    accepting: JoinHandle<()>,
}

impl Endpoint {
    /// A server that answers the request of each number (from 0) as `answers` decides.
    pub async fn start(answers: impl Fn(usize, &Taken) -> Given + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let (sender, taken) = watch::channel(Vec::new());
        let (sender, answers): (_, Answers) = (Arc::new(sender), Arc::new(answers));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, answers) = (Arc::clone(&sender), Arc::clone(&answers));
                let service = service_fn(move |request| {
                    answer(request, Arc::clone(&sender), Arc::clone(&answers))
                });
                let io = TokioIo::new(stream);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(io, service),
                );
            }
        });
        Self { address, taken, accepting }
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.borrow().clone()
    }

    /// Waits until this many requests have come.
    pub async fn came(&self, count: usize) -> Vec<Taken> {
        let mut taken = self.taken.clone();
        let enough = |taken: &Vec<Taken>| taken.len() >= count;
        let _ = within("requests", taken.wait_for(enough)).await;
        self.taken()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn answer(
    request: Request<Incoming>,
    taken: Arc<watch::Sender<Vec<Taken>>>,
    answers: Answers,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let request = Taken {
        line: format!("{} {}", head.method, head.uri),
        headers: head.headers.iter().map(|(n, v)| (n.as_str().to_owned(), text(v))).collect(),
        body: body.collect().await.map(Collected::to_bytes).unwrap_or_default(),
    };
    let mut index = 0;
    taken.send_modify(|taken| {
        index = taken.len();
        taken.push(request.clone());
    });
    let Some((status, body)) = answers(index, &request) else { std::future::pending().await };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    Ok(response)
}
