//! The demo's gateway.

use crate::{
    boot::{self, BootError},
    cli::Serve,
};
use callgate_server::Stop;

/// A gateway in this process, on its own port.
pub(super) struct Gateway {
    pub(super) url: String,
    stop: tokio::sync::mpsc::UnboundedSender<()>,
    serving: tokio::task::JoinHandle<bool>,
}

impl Gateway {
    pub(super) async fn start(serve: &Serve) -> Result<Self, BootError> {
        let ready = boot::ready(serve).await?;
        let url = ready.url.clone();
        let (stop, stopped) = Stop::new();
        let serving = tokio::spawn(ready.serve(stopped));
        Ok(Self { url, stop, serving })
    }

    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.serving.await;
    }
}
