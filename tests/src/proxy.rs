//! A small forward proxy on loopback, as companies have: it passes plain requests on and opens
//! tunnels. Every host name leads to this machine, so names under test need not exist.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct ForwardProxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    accepting: JoinHandle<()>,
}

/// What it does with a request.
#[derive(Clone, Debug, Default)]
pub struct ProxyRules {
    /// The value of `Proxy-Authorization` that it wants.
    pub credentials: Option<&'static str>,
    /// Answers every request with this status.
    pub status: Option<u16>,
    /// Never answers.
    pub silent: bool,
}

impl ForwardProxy {
    pub async fn start(rules: ProxyRules) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let noted = Arc::clone(&seen);
        let accepting = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(serve(stream, rules.clone(), Arc::clone(&noted)));
            }
        });
        Self { address, seen, accepting }
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// `http://127.0.0.1:<port>`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `http://user:password@127.0.0.1:<port>`.
    #[must_use]
    pub fn url_for(&self, user: &str) -> String {
        format!("http://{user}@{}", self.address)
    }

    /// Method and target of each request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for ForwardProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Serves one connection; `None` at its end.
async fn serve(
    mut client: TcpStream,
    rules: ProxyRules,
    seen: Arc<Mutex<Vec<String>>>,
) -> Option<()> {
    let head = head_of(&mut client).await?;
    let (line, fields) = head.split_once("\r\n")?;
    let [method, target, _] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{method} {target}"));
    if rules.silent {
        std::future::pending::<()>().await;
    }
    let is_credentials = |line: &&str| line.to_ascii_lowercase().starts_with("proxy-auth");
    let sent = fields.lines().find(is_credentials).and_then(|line| line.split_once(": "));
    let wanted = rules.credentials.is_none_or(|it| sent.is_some_and(|(_, value)| value == it));
    if let Some(status) = rules.status.or((!wanted).then_some(407)) {
        let answer = format!("HTTP/1.1 {status} No\r\nContent-Length: 2\r\n\r\nno");
        client.write_all(answer.as_bytes()).await.ok()?;
        return None;
    }
    let (authority, path) = match target.strip_prefix("http://") {
        Some(rest) => rest.split_at(rest.find('/')?),
        None => (target, ""),
    };
    let port = authority.rsplit_once(':').map_or(Some(80), |(_, port)| port.parse().ok())?;
    let mut server = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    if method == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
    } else {
        let kept = fields.split("\r\n").filter(|line| !is_credentials(line));
        // One request for each connection, because the next one is not read.
        let fields = kept.collect::<Vec<_>>().join("\r\n");
        let head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{fields}");
        server.write_all(head.as_bytes()).await.ok()?;
    }
    copy_bidirectional(&mut client, &mut server).await.ok().map(drop)
}

/// The head of a request with its blank line; nothing beyond it is read.
async fn head_of(client: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}
