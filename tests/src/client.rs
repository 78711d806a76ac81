//! An HTTP client that sends exactly what the test asks for: one connection for each request, no
//! retries, no defaults beyond the key. Streams are read event by event.

use crate::{Event, within};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, header::HeaderMap};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::{net::TcpStream, task::JoinHandle};

/// The address and the key for requests.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    key: Option<String>,
}

/// A request being put together.
#[derive(Debug, Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    json: Value,
    body: Option<Bytes>,
}

/// A complete response.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The response headers.
    pub headers: HeaderMap,
    /// The body, with any chunked framing removed.
    pub body: Bytes,
    /// Whether the body ended as its framing promised.
    pub complete: bool,
}

/// A response whose body is still coming. Dropping it closes the connection.
#[derive(Debug)]
pub struct Open {
    /// The HTTP status.
    pub status: u16,
    /// The response headers.
    pub headers: HeaderMap,
    body: Incoming,
    unread: Vec<u8>,
    _connection: Connection,
}

#[derive(Debug)]
struct Connection(JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Client {
    /// A client that sends `key` as a bearer token.
    #[must_use]
    pub fn new(address: SocketAddr, key: &str) -> Self {
        Self { address, key: Some(key.to_owned()) }
    }

    /// The same client without a key.
    #[must_use]
    pub fn without_key(mut self) -> Self {
        self.key = None;
        self
    }

    /// A request without a body.
    #[must_use]
    pub fn request(&self, method: &str, path: &str) -> Request {
        let key = self.key.iter().map(|key| ("authorization".to_owned(), format!("Bearer {key}")));
        Request {
            address: self.address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: key.collect(),
            json: Value::Null,
            body: None,
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send().await
    }

    /// A chat request to `model` with one short message.
    #[must_use]
    pub fn chat(&self, model: &str) -> Request {
        let request = self.request("POST", "/v1/chat/completions");
        request.json(json!({"model": model, "messages": [{"role": "user", "content": "hi"}]}))
    }
}

impl Request {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Changes the path.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Replaces the body by this JSON.
    #[must_use]
    pub fn json(mut self, json: Value) -> Self {
        self.json = json;
        self
    }

    /// Sets one member of the JSON body.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.json[name] = value.into();
        self
    }

    /// Asks for a stream.
    #[must_use]
    pub fn streaming(self) -> Self {
        self.set("stream", true)
    }

    /// Replaces the body by exactly these bytes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends it and reads the whole response.
    pub async fn send(self) -> Reply {
        self.open().await.reply().await
    }

    /// Sends it and reads the response's head.
    pub async fn open(self) -> Open {
        within("a response", self.exchange()).await.expect("the gateway answers with HTTP")
    }

    /// Sends it without waiting, so that the test can watch what happens meanwhile.
    #[must_use]
    pub fn spawn(self) -> JoinHandle<Reply> {
        tokio::spawn(self.send())
    }

    async fn exchange(self) -> hyper::Result<Open> {
        let stream = TcpStream::connect(self.address).await.expect("the gateway accepts");
        stream.set_nodelay(true).expect("a socket option");
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = Connection(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let body = match (self.body, self.json) {
            (Some(body), _) => body,
            (None, Value::Null) => Bytes::new(),
            (None, json) => Bytes::from(json.to_string()),
        };
        let mut request = hyper::Request::builder().method(self.method.as_str()).uri(self.path);
        request = request.header("host", self.address.to_string());
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).expect("a well-formed request");
        let response = sender.send_request(request).await?;
        let (head, body) = response.into_parts();
        Ok(Open {
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            unread: Vec::new(),
            _connection: connection,
        })
    }
}

impl Open {
    /// The next event; `None` at the end of the body, however it ended.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = Event::take(&mut self.unread) {
                return Some(event);
            }
            let frame = within("the next event", self.body.frame()).await?.ok()?;
            self.unread.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
        }
    }

    /// The rest of the events.
    pub async fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    /// Reads to the end.
    pub async fn reply(mut self) -> Reply {
        let mut body = std::mem::take(&mut self.unread);
        let complete = loop {
            match within("the rest of the body", self.body.frame()).await {
                Some(Ok(frame)) => {
                    body.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                }
                Some(Err(_)) => break false,
                None => break true,
            }
        };
        Reply { status: self.status, headers: self.headers.clone(), body: body.into(), complete }
    }
}

impl Reply {
    /// Fails, and shows the body, if the status is another one.
    #[must_use]
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// A response header, empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body's error object, after checking that it has OpenAI's four members and no other
    /// than LiteLLM's `provider_specific_fields`, and that `code` is text.
    #[must_use]
    #[track_caller]
    pub fn error(&self) -> Value {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error object: {body}"));
        let allowed = ["message", "type", "param", "code", "provider_specific_fields"];
        for name in &allowed[..4] {
            assert!(error.contains_key(*name), "the error lacks `{name}`: {body}");
        }
        assert!(error.keys().all(|name| allowed.contains(&name.as_str())), "{body}");
        assert!(error["message"].is_string() && error["code"].is_string(), "{body}");
        assert!(error["type"].is_string(), "{body}");
        Value::Object(error.clone())
    }

    /// The body's error object, after checking that it has the form of Anthropic's API.
    #[must_use]
    #[track_caller]
    pub fn anthropic_error(&self) -> Value {
        let body = self.json();
        let members = body.as_object().unwrap_or_else(|| panic!("no object: {body}"));
        assert!(
            members.keys().all(|it| ["type", "error", "request_id"].contains(&&**it)),
            "{body}"
        );
        assert_eq!(body["type"], "error", "{body}");
        let error = body["error"].as_object().unwrap_or_else(|| panic!("no error: {body}"));
        assert!(error.keys().all(|name| ["type", "message"].contains(&&**name)), "{body}");
        assert!(error["message"].is_string() && error["type"].is_string(), "{body}");
        Value::Object(error.clone())
    }

    /// The events of a streamed body.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        Event::all(&self.body)
    }
}
