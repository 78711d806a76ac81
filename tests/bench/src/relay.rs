//! The bare relay: a hyper server whose handler sends the request on over a pooled hyper
//! connection and returns the reply's body as it comes. Nothing else, which is the point: it shows
//! what the two libraries cost before a gateway does any work of its own.
//! One thread, because the benchmark gives every proxy one core. Run by `bench-relay`.

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{
    body::Incoming,
    client::conn::http1::{self as client, SendRequest},
    server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    cell::RefCell,
    net::SocketAddr,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// Why a request could not be relayed; hyper answers by closing the client's connection.
#[derive(Debug, Error)]
pub enum RelayError {
    #[error("upstream cannot be reached")]
    Connect(#[from] std::io::Error),
    #[error("upstream exchange failed")]
    Exchange(#[from] hyper::Error),
}

type IdleSenders = Rc<RefCell<Vec<SendRequest<Incoming>>>>;

/// Relays every request to `upstream` until the process ends. Must run inside a `LocalSet`.
pub async fn serve(listener: TcpListener, upstream: SocketAddr) -> std::io::Result<()> {
    let pool = Pool { upstream, idle: IdleSenders::default() };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let pool = pool.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| relay(&pool, request));
            // A relay need not care about a client that leaves.
            let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn relay(
    pool: &Pool,
    request: Request<Incoming>,
) -> Result<Response<ReturningBody>, RelayError> {
    let mut sender = pool.sender().await?;
    let response = sender.send_request(request).await?;
    let idle = Rc::clone(&pool.idle);
    Ok(response.map(|body| ReturningBody { body, ended: false, sender: Some(sender), idle }))
}

#[derive(Clone)]
struct Pool {
    upstream: SocketAddr,
    idle: IdleSenders,
}

impl Pool {
    async fn sender(&self) -> Result<SendRequest<Incoming>, RelayError> {
        loop {
            let Some(mut sender) = self.idle.borrow_mut().pop() else { break };
            if sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = client::handshake(TokioIo::new(stream)).await?;
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

/// The reply's body; gives its connection back to the pool once it has been read to the end.
struct ReturningBody {
    body: Incoming,
    /// A chunked body does not know its end until one frame too many is requested.
    ended: bool,
    sender: Option<SendRequest<Incoming>>,
    idle: IdleSenders,
}

impl Body for ReturningBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ReturningBody {
    fn drop(&mut self) {
        // Bytes left unread would be taken for the next reply, so such a connection is closed.
        if (self.ended || self.body.is_end_stream())
            && let Some(sender) = self.sender.take()
        {
            self.idle.borrow_mut().push(sender);
        }
    }
}
