//! A gateway that listens, serves and shuts down.

use super::{
    BootError, activation,
    assembly::{Built, Purpose, assemble},
    check::verdict,
    reload::{LATE, Reloader},
    watch::Watch,
};
use crate::cli::{ListenAddress, Serve};
use callgate_callbacks::Callbacks;
use callgate_host::{Clock as _, SystemClock};
use callgate_plugin_host::{ListedPlugin, LoadGuard, RunRecord, StartMode, StartupTable};
use callgate_server::{
    CurrentApp, Listener, OwnCalls, Reloads, Server, Stop,
    app::{App, AppParts},
};
use callgate_telemetry::counted::counted_as;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout_at};

/// The time that callbacks have to shut down.
const CALLBACKS_END: Duration = Duration::from_secs(8);

/// A gateway that listens but does not serve yet.
#[derive(Debug)]
pub struct Ready {
    server: Server,
    current: CurrentApp,
    /// Removed at the orderly end.
    record: RunRecord,
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
    // Before the files are read, so that a change meanwhile is found.
    let watch = Watch::new(&serve.source);
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
    let bound = listener.address().ok();
    let url = bound.map_or_else(String::new, |address| format!("http://{address}"));
    let is_keyed = built.config.is_keyed();
    let guard = built.guard.take().unwrap_or_else(LoadGuard::none);
    guard.serving();
    let record = guard.record();
    let (reloads, requests) = Reloads::new(SystemClock.unix_ms());
    let workers = built.workers;
    let watch = built.config.gateway.watch.then_some(watch);
    let mut reloader = Reloader::new(serve, &address, &built, guard, Arc::clone(&reloads), watch);
    let current = CurrentApp::new(app(built, &address.host, reloads));
    current.load().services.serve_calls(OwnCalls::new(&current));
    let server = Server::start(listener, &current, workers).map_err(BootError::Threads)?;
    reloader.publish(&url);
    tracing::info!(target: "callgate::boot", "{verdict}");
    tracing::info!(
        target: "callgate::boot",
        address = %url,
        models = current.load().deployments.models().len(),
        "listening on {url} {} (Press CTRL+C to quit)",
        bound.map_or_else(String::new, |it| for_whom(it.ip(), is_keyed))
    );
    reloader.start(current.downgrade(), requests).map_err(BootError::Threads)?;
    Ok(Ready { server, current, record, url })
}

/// Who can call.
fn for_whom(address: IpAddr, is_keyed: bool) -> String {
    let address = address.to_canonical();
    let who = if address.is_loopback() {
        "programs of this machine"
    } else if address.is_unspecified() {
        "every machine that reaches this one"
    } else {
        "every machine that reaches this address"
    };
    format!("for {who}, {} a key", if is_keyed { "with" } else { "without" })
}

/// The first app.
fn app(built: Built, host: &str, reloads: Arc<Reloads>) -> App {
    let Built { config, deployments, plugins, left_out, services, listing, .. } = built;
    services.serve(listing);
    let made = plugins.into_iter().filter_map(ListedPlugin::made).collect();
    let callbacks = Callbacks::new(made, left_out);
    App::new(AppParts { config: &config, host, deployments, callbacks, services, reloads })
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
        // The last reference: with it, every callback is dropped before the process ends.
        let app = self.current.load();
        drop(self.current);
        let (reloads, ends) = (Arc::clone(&app.reloads), Instant::now() + CALLBACKS_END);
        // Callbacks may block during their shutdown.
        let ended = tokio::task::spawn_blocking(move || app.shutdown());
        tokio::select! {
            ended = timeout_at(ends, ended) => if ended.is_err() {
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
        // With a plugin that hangs while it is loaded, the record stays: the next start names it.
        if !hangs_in_plugin(&reloads, ends).await {
            self.record.ended_in_order();
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

/// Gives a reload that runs at the end until `by`; returns whether it has been waiting for a plugin
/// for so long that the plugin is to blame.
async fn hangs_in_plugin(reloads: &Reloads, by: Instant) -> bool {
    while reloads.running().is_some() && Instant::now() < by {
        sleep(Duration::from_millis(10)).await;
    }
    let running = reloads.running();
    running.is_some_and(|running| running.place.is_some() && running.since.elapsed() >= LATE)
}

#[cfg(test)]
mod tests {
    use super::for_whom;

    #[test]
    fn the_start_says_who_can_call() {
        for (address, is_keyed, said) in [
            ("127.0.0.1", true, "for programs of this machine, with a key"),
            ("::ffff:127.0.0.2", false, "for programs of this machine, without a key"),
            ("0.0.0.0", true, "for every machine that reaches this one, with a key"),
            ("::", false, "for every machine that reaches this one, without a key"),
            ("10.0.0.5", true, "for every machine that reaches this address, with a key"),
        ] {
            assert_eq!(for_whom(address.parse().unwrap(), is_keyed), said);
        }
    }
}
