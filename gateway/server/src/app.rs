//! Everything that boot builds from the config. All calls share it. It never changes, except that
//! the chain restarts callbacks; a reload replaces it as a whole.

use crate::{
    InFlight, Reloads, WebRules, call_metrics::CallMetrics, keyring::Keyring, occupancy::Occupancy,
};
use callgate_callbacks::{CallbackReport, Callbacks};
use callgate_config::{Config, Limits, Reuse};
use callgate_deployments::Deployments;
use callgate_host::Services;
use callgate_secret::Masking;
use http::HeaderName;
use ipnet::IpNet;
use std::{sync::Arc, time::Duration};

/// The parts of a running gateway.
#[derive(Debug)]
pub struct App {
    /// Who may call.
    pub(crate) keyring: Keyring,
    /// Whether any callback says who may call.
    pub(crate) authenticates: bool,
    /// `general_settings.litellm_key_header_name`.
    pub(crate) key_header: Option<HeaderName>,
    /// The model name used in place of the client's, if set.
    pub(crate) completion_model: Option<Arc<str>>,
    pub limits: Limits,
    /// The rules for web pages that call the gateway.
    pub(crate) web: WebRules,
    /// How long connections to upstreams are kept for reuse.
    pub(crate) reuse: Reuse,
    /// The proxies whose headers may state the client's address.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// The longest silence of a streamed response before the client gets a keep-alive comment, if
    /// set.
    pub(crate) stream_keepalive: Option<Duration>,
    pub(crate) in_flight: Arc<InFlight>,
    pub deployments: Arc<Deployments>,
    pub callbacks: Callbacks,
    pub services: Arc<Services>,
    /// Whether the log shows upstreams' own error messages.
    pub(crate) logs_upstream_errors: bool,
    /// Masks secrets in error texts of upstreams and callbacks.
    pub masking: Masking,
    pub(crate) metrics: CallMetrics,
    /// The open connections and the state of the workers.
    pub(crate) occupancy: Arc<Occupancy>,
    /// Whether `GET /metrics` needs the key.
    pub(crate) metrics_auth: bool,
    /// Requests reloads, and has the result of the last one.
    pub reloads: Arc<Reloads>,
    /// Identifies this process in the hop header, so that a call that loops back is recognised.
    pub(crate) hop: Arc<str>,
}

/// The parts of an [`App`].
#[derive(Debug)]
pub struct AppParts<'a> {
    pub config: &'a Config,
    /// The host to listen on.
    pub host: &'a str,
    pub deployments: Deployments,
    pub callbacks: Callbacks,
    pub services: Arc<Services>,
    pub reloads: Arc<Reloads>,
}

impl App {
    /// The first app of the process.
    #[must_use]
    pub fn new(parts: AppParts<'_>) -> Self {
        Self::of(parts, None)
    }

    /// The app of a reload, which succeeds this one. They share counts, open connections and the
    /// bytes of running calls.
    #[must_use]
    pub fn succeeded_by(&self, parts: AppParts<'_>) -> Self {
        Self::of(parts, Some(self))
    }

    fn of(parts: AppParts<'_>, before: Option<&Self>) -> Self {
        let AppParts { config, host, deployments, callbacks, services, reloads } = parts;
        let limits = config.gateway.limits;
        let bounds = (limits.max_inflight_bytes, limits.max_body_bytes);
        let in_flight = match before {
            Some(before) => Arc::clone(&before.in_flight),
            None => Arc::new(InFlight::new(bounds.0, bounds.1)),
        };
        in_flight.set_max(bounds.0, bounds.1);
        let totals = before.map(|it| Arc::clone(it.metrics.totals())).unwrap_or_default();
        let (models, all) = (deployments.models().iter(), deployments.all().iter());
        Self {
            keyring: Keyring::new(config),
            authenticates: callbacks.chain().authenticates(),
            key_header: config.general.key_header.clone(),
            completion_model: config.general.completion_model.as_deref().map(Into::into),
            limits,
            web: WebRules::new(config, host),
            reuse: config.gateway.upstream,
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            stream_keepalive: config.gateway.stream_keepalive,
            in_flight,
            metrics: CallMetrics::new(&totals, models, all),
            deployments: Arc::new(deployments),
            callbacks,
            hop: Arc::clone(services.hop()),
            logs_upstream_errors: config.gateway.log.upstream_errors,
            masking: services.masking().clone(),
            services,
            occupancy: before.map(|it| Arc::clone(&it.occupancy)).unwrap_or_default(),
            reloads,
            metrics_auth: config.litellm.metrics_auth,
        }
    }

    /// Reports on every entry of the config's `callbacks` list, in its order.
    #[must_use]
    pub fn callbacks_report(&self) -> Vec<CallbackReport> {
        self.callbacks.report()
    }

    /// Announces the shutdown to every callback, and waits a bounded time for their background
    /// work. Blocks.
    pub fn shutdown(&self) {
        self.callbacks.shutdown();
        self.services.shutdown();
    }
}
