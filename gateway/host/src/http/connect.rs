//! Connections of callbacks' requests: made by the config's connector, so that they go through the
//! same proxies and trust the same certificates as calls.

use callgate_config::HttpUrl;
use callgate_upstream::{Connector, Io, UpstreamError, open_for};
use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

/// Makes connections for hyper's pool.
#[derive(Clone, Debug)]
pub(super) struct PoolConnector(pub(super) Arc<Connector>);

impl Service<Uri> for PoolConnector {
    type Response = TokioIo<PooledIo>;
    type Error = UpstreamError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let connector = Arc::clone(&self.0);
        Box::pin(async move {
            let text = server.to_string();
            let url = HttpUrl::parse(&text).map_err(|_| UpstreamError::BadUrl(text))?;
            let io = open_for(&connector, &url).await?;
            let by_proxy = reads_requests(&connector, &url);
            Ok(TokioIo::new(PooledIo { io, by_proxy }))
        })
    }
}

/// Whether a proxy reads the requests to this server, and passes them on.
pub(super) fn reads_requests(connector: &Connector, url: &HttpUrl) -> bool {
    !url.is_tls() && connector.proxies().proxy_for(url).is_some()
}

/// A connection in hyper's pool.
#[derive(Debug)]
pub(super) struct PooledIo {
    io: Io,
    /// Requests on it have to name their server.
    by_proxy: bool,
}

impl Connection for PooledIo {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.by_proxy)
    }
}

impl AsyncRead for PooledIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(context, room)
    }
}

impl AsyncWrite for PooledIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}
