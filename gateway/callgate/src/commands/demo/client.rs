//! The demo's client: plain HTTP/1.1 over a socket, like any program that calls the gateway.

use http::{Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("the gateway cannot be reached: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the exchange with the gateway broke: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request cannot be built: {0}")]
    Request(#[from] http::Error),
}

/// A response of the gateway.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    pub(super) body: String,
}

impl Response {
    /// The assistant's text, or the error's message.
    pub(super) fn content(&self) -> String {
        let Ok(value) = serde_json::from_str::<Value>(&self.body) else { return String::new() };
        let text = value["choices"][0]["message"]["content"].as_str();
        text.or(value["error"]["message"].as_str()).unwrap_or_default().to_owned()
    }

    /// The joined texts of a stream's chunks, if it ended properly.
    pub(super) fn streamed(&self) -> Option<String> {
        let events: Vec<&str> =
            self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let (last, chunks) = events.split_last()?;
        if *last != "[DONE]" {
            return None;
        }
        let text = |chunk: &&str| {
            let value: Value = serde_json::from_str(chunk).ok()?;
            Some(value["choices"][0]["delta"]["content"].as_str()?.to_owned())
        };
        Some(chunks.iter().filter_map(text).collect())
    }
}

/// One connection to the gateway.
pub(super) struct Client {
    sender: http1::SendRequest<Full<bytes::Bytes>>,
    host: String,
}

impl Client {
    /// Connects to `url` (`http://host:port`).
    pub(super) async fn connect(url: &str) -> Result<Self, ClientError> {
        let host = url.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host })
    }

    /// Sends one chat request.
    pub(super) async fn chat(
        &mut self,
        model: &str,
        stream: bool,
    ) -> Result<Response, ClientError> {
        let body = serde_json::json!({
            "model": model,
            "messages": [{"role": "user", "content": "Say hello."}],
            "stream": stream,
        });
        let request = Request::post("/v1/chat/completions")
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", super::KEY))
            .body(Full::from(body.to_string()))?;
        self.send(request).await
    }

    /// Has the gateway reload its config; returns the status and the report.
    pub(super) async fn reload(&mut self) -> Result<(u16, Value), ClientError> {
        let request = Request::post("/admin/reload")
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, format!("Bearer {}", super::KEY))
            .body(Full::default())?;
        let response = self.send(request).await?;
        Ok((response.status, serde_json::from_str(&response.body).unwrap_or_default()))
    }

    async fn send(
        &mut self,
        request: Request<Full<bytes::Bytes>>,
    ) -> Result<Response, ClientError> {
        let response = self.sender.send_request(request).await?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|it| it.to_str().ok()).map(str::to_owned);
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Response { status, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
    }
}
