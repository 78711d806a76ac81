//! How the upstream of each entry is reached: by the entry's own settings, otherwise as the
//! config's environment says.

use super::{Deployment, Setting};
use callgate_config::{Config, Environment, HttpUrl, ModelEntry, Problem, Proxies, UnusableProxy};
use callgate_upstream::{Connector, Tls};
use std::sync::Arc;

/// The connectors of a config.
pub(super) struct Connectors {
    /// For entries without settings of their own, and for servers that callbacks choose.
    general: Arc<Connector>,
    unusable: Vec<UnusableProxy>,
}

impl Connectors {
    pub(super) fn new(config: &Config) -> Self {
        let (proxies, unusable) = Proxies::from_environment(&config.environment);
        Self { general: Connector::new(proxies, Tls::system()), unusable }
    }

    pub(super) fn general(&self) -> &Arc<Connector> {
        &self.general
    }

    pub(super) fn for_entry(&self, entry: &ModelEntry) -> Arc<Connector> {
        match &entry.proxy {
            Setting::Set(proxy) => {
                Connector::new(Proxies::always(proxy.clone()), Arc::clone(self.general.tls()))
            }
            Setting::Absent | Setting::Unset(_) => Arc::clone(&self.general),
        }
    }

    /// The variables whose proxy cannot be used: errors if an upstream is to be reached through it.
    pub(super) fn problems(&self, built: &[(&ModelEntry, Deployment)]) -> Vec<Problem> {
        let problem = |unusable: &UnusableProxy| {
            let UnusableProxy { variable, error, tls } = unusable;
            let place = Environment::place_of(variable);
            let needs_it = |(entry, deployment): &&(&ModelEntry, Deployment)| {
                matches!(entry.proxy, Setting::Absent) && self.would_use(deployment, *tls)
            };
            if built.iter().any(|entry| needs_it(&entry)) {
                let remedy = "correct or unset it, except the upstreams by `NO_PROXY`, or set \
                              `proxy` in their entries";
                return Problem::error(place, error.to_string()).remedy(remedy);
            }
            let text = format!("{error}; it is not used");
            Problem::warning(place, text).remedy("correct or unset it")
        };
        self.unusable.iter().map(problem).collect()
    }

    /// Whether a proxy for this scheme would lead to the deployment's upstream.
    fn would_use(&self, deployment: &Deployment, tls: bool) -> bool {
        let is_called = deployment.mock_response.is_none() && deployment.unserved.is_none();
        let url = deployment.api_base.set().and_then(|base| HttpUrl::parse(base).ok());
        let exempts = |url: &HttpUrl| self.general.proxies().exempts(url);
        is_called && url.is_some_and(|url| url.is_tls() == tls && !exempts(&url))
    }
}
