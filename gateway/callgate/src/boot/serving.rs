//! A gateway that listens, serves and shuts down.

use super::{
    BootError, activation,
    assembly::{Built, Purpose, assemble},
    check::verdict,
    reload::Reloader,
};
use crate::cli::{ListenAddress, Serve};
use callgate_callbacks::Callbacks;
use callgate_host::{Clock as _, SystemClock};
use callgate_plugin_host::{ListedPlugin, LoadGuard, StartMode, StartupTable};
use callgate_server::{CurrentApp, Listener, Reloads, Server, Stop, app::App};
use callgate_telemetry::counted::counted_as;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// The time that callbacks have to shut down.
const CALLBACKS_END: Duration = Duration::from_secs(8);

/// A gateway that listens but does not serve yet.
#[derive(Debug)]
pub struct Ready {
    server: Server,
    current: CurrentApp,
    /// Kept until the orderly end.
    guard: Arc<Mutex<Option<LoadGuard>>>,
    /// The URL for clients.
    pub url: String,
}

/// Builds everything and binds the address.
///
/// # Errors
/// See [`BootError`]; after an error nothing is left running.
pub async fn ready(serve: &Serve) -> Result<Ready, BootError> {
    let inherited = activation::socket().map_err(BootError::Socket)?;
    let address = inherited.as_ref().map_or_else(|| serve.address.clone(), activation::address);
    let mode = StartMode::Serve { retry: serve.retry };
    let purpose = Purpose { address: Some(&address), safe_mode: serve.safe_mode, mode };
    let mut built = assemble(&serve.source, purpose, None)?;
    let address = std::mem::take(&mut built.address);
    for problem in &built.warnings {
        tracing::warn!(target: "callgate::boot", "{problem}");
    }
    let verdict = verdict(&built);
    StartupTable::of(&built.plugins).log();
    let listener = match inherited {
        Some(socket) => Listener::inherited(socket).map_err(BootError::Socket)?,
        None => bind(&address).await?,
    };
    let url =
        listener.address().map_or_else(|_| String::new(), |address| format!("http://{address}"));
    let guard = built.guard.take().unwrap_or_else(LoadGuard::none);
    guard.serving();
    let (reloads, requests) = Reloads::new(SystemClock.unix_ms());
    let workers = built.workers;
    let mut reloader =
        Reloader::new(serve, (&address.host, address.port), &built, guard, Arc::clone(&reloads));
    let Built { config, deployments, plugins, left_out, services, .. } = built;
    let made = plugins.into_iter().filter_map(ListedPlugin::made).collect();
    let callbacks = Callbacks::new(made, left_out);
    let app = App::new(&address.host, &config, deployments, callbacks, services, reloads, None);
    let current = CurrentApp::new(app);
    let server = Server::start(listener, &current, workers).map_err(BootError::Threads)?;
    reloader.publish(&url);
    tracing::info!(target: "callgate::boot", "{verdict}");
    tracing::info!(
        target: "callgate::boot",
        address = %url,
        models = current.load().deployments.models().len(),
        "listening on {url} (Press CTRL+C to quit)"
    );
    let guard = reloader.guard();
    reloader.start(current.clone(), requests).map_err(BootError::Threads)?;
    Ok(Ready { server, current, guard, url })
}

async fn bind(address: &ListenAddress) -> Result<Listener, BootError> {
    let ListenAddress { host, port, .. } = address;
    Listener::bind((&**host, *port)).await.map_err(|source| {
        let remedy = address.remedy(source.kind());
        BootError::Listen { host: host.clone(), port: *port, source, remedy }
    })
}

impl Ready {
    /// The sender of reload requests to the running gateway.
    #[must_use]
    pub fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.current.load().reloads)
    }

    /// Serves until the first stop request, then waits for running calls until the second. Returns
    /// whether all of them ended.
    pub async fn serve(self, mut stop: Stop) -> bool {
        let cut_off = self.server.run(&mut stop).await;
        let app = self.current.load();
        // Callbacks may block during their shutdown.
        let ended = tokio::task::spawn_blocking(move || app.shutdown());
        tokio::select! {
            ended = tokio::time::timeout(CALLBACKS_END, ended) => if ended.is_err() {
                tracing::warn!(
                    target: "callgate::boot",
                    "callbacks had not shut down after {} s; the gateway exits without them",
                    CALLBACKS_END.as_secs_f64()
                );
            },
            () = stop.asked() => tracing::warn!(
                target: "callgate::boot",
                "second stop signal: the gateway exits without waiting for callbacks"
            ),
        }
        // If a reload that hangs holds it, the record stays, and the next start reports it.
        if let Ok(mut guard) = self.guard.try_lock() {
            guard.take();
        }
        match cut_off {
            None => tracing::info!(target: "callgate::boot", "ended: every call was answered"),
            Some(calls) => tracing::warn!(
                target: "callgate::boot", { calls },
            "ended: {} aborted",
                counted_as(calls, "call was", "calls were")
            ),
        }
        cut_off.is_none()
    }
}
