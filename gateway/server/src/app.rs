//! Everything built from the config at boot: immutable but for callbacks that are made anew, shared
//! by all calls.

use crate::{InFlight, WebRules, call_metrics::CallMetrics, occupancy::Occupancy};
use callgate_callbacks::{CallbackReport, Callbacks};
use callgate_config::{Config, Limits, Reuse};
use callgate_deployments::Deployments;
use callgate_host::Services;
use callgate_secret::{Masking, Secret};
use callgate_upstream::Tls;
use http::HeaderName;
use ipnet::IpNet;
use std::{sync::Arc, time::Duration};

/// See the module.
#[derive(Debug)]
pub struct App {
    pub master_key: Option<Secret>,
    /// `general_settings.litellm_key_header_name`.
    pub(crate) key_header: Option<HeaderName>,
    /// Asked for whatever the client names, when set.
    pub(crate) completion_model: Option<String>,
    pub limits: Limits,
    /// Which web pages may call.
    pub(crate) web: WebRules,
    /// How long connections to upstreams are kept.
    pub(crate) reuse: Reuse,
    /// Whose word on a client's address is taken.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How long a streamed answer may be silent before its client gets a sign of life, when set.
    pub(crate) stream_keepalive: Option<Duration>,
    pub(crate) in_flight: Arc<InFlight>,
    pub deployments: Arc<Deployments>,
    pub callbacks: Callbacks,
    pub(crate) tls: Arc<Tls>,
    pub services: Arc<Services>,
    /// Whether upstreams' own words are in the log.
    pub(crate) logs_upstream_errors: bool,
    /// What those outside must not see of words of upstreams and callbacks.
    pub masking: Masking,
    pub(crate) metrics: CallMetrics,
    /// What the server is doing right now.
    pub(crate) occupancy: Arc<Occupancy>,
    /// Whether `GET /metrics` needs the key.
    pub(crate) metrics_auth: bool,
    /// Names this process in the hop header, so that a call that comes back is known.
    pub(crate) hop: String,
    /// What callbacks and the log call whoever holds the master key.
    pub key_id: Arc<str>,
}

impl App {
    /// Puts the parts together, to listen on `host`. `before` is the app that serves until now, at
    /// a reload: counts, open connections and the bytes of running calls are shared with it.
    #[must_use]
    pub fn new(
        host: &str,
        config: &Config,
        deployments: Deployments,
        callbacks: Callbacks,
        services: Arc<Services>,
        before: Option<&Self>,
    ) -> Self {
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
            master_key: config.master_key.clone(),
            key_header: config.general.key_header.clone(),
            completion_model: config.general.completion_model.clone(),
            limits,
            web: WebRules::new(config, host),
            reuse: config.gateway.upstream,
            trusted_proxies: config.gateway.trusted_proxies.clone(),
            stream_keepalive: config.gateway.stream_keepalive,
            in_flight,
            metrics: CallMetrics::new(&totals, models, all),
            deployments: Arc::new(deployments),
            callbacks,
            tls: Arc::clone(services.tls()),
            logs_upstream_errors: config.gateway.log.upstream_errors,
            masking: services.masking().clone(),
            services,
            occupancy: before.map(|it| Arc::clone(&it.occupancy)).unwrap_or_default(),
            metrics_auth: config.litellm.metrics_auth,
            hop: before.map_or_else(|| format!("{:016x}", fastrand::u64(..)), |it| it.hop.clone()),
            key_id: Arc::from(config.key_id()),
        }
    }

    /// What is known of every entry of the config's list of callbacks, in its order.
    #[must_use]
    pub fn callbacks_report(&self) -> Vec<CallbackReport> {
        self.callbacks.report()
    }

    /// Tells every callback that no new call will come, and waits a bounded time for what they do
    /// beside the calls. Blocks.
    pub fn shutdown(&self) {
        self.callbacks.shutdown();
        self.services.shutdown();
    }
}
