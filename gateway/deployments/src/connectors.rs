//! How the upstream of each entry is reached: by the entry's own settings, otherwise as the
//! config's environment says.

use super::{Deployment, Setting, certificates::system, tls_files};
use callgate_config::{
    Config, Environment, HttpUrl, ModelEntry, Problem, Proxies, TlsSettings, UnusableProxy,
};
use callgate_upstream::{Connector, SystemCertificates, Tls, TlsOptions, Trust};
use std::{sync::Arc, time::SystemTime};

/// The connectors of a config.
pub(super) struct Connectors {
    /// For entries without settings of their own, and for servers that callbacks choose.
    general: Arc<Connector>,
    unusable: Vec<UnusableProxy>,
    system: SystemCertificates,
    now: SystemTime,
}

impl Connectors {
    pub(super) fn new(config: &Config, problems: &mut Vec<Problem>) -> Self {
        let (proxies, unusable) = Proxies::from_environment(&config.environment);
        let (system, now) = (system(&config.environment), SystemTime::now());
        let plain = TlsOptions { trust: Trust::System(system.clone()), own: None };
        let general = Connector::new(proxies.clone(), Tls::with(plain));
        let mut connectors = Self { general, unusable, system, now };
        let settings = config.litellm.tls.clone().under(&config.environment);
        connectors.general = Connector::new(proxies, connectors.tls(&settings, problems));
        connectors
    }

    pub(super) fn general(&self) -> &Arc<Connector> {
        &self.general
    }

    pub(super) fn for_entry(
        &self,
        entry: &ModelEntry,
        problems: &mut Vec<Problem>,
    ) -> Arc<Connector> {
        Connector::new(self.proxies(entry), self.tls(&entry.tls, problems))
    }

    /// For the issuer of an entry's tokens.
    pub(super) fn for_tokens(&self, entry: &ModelEntry) -> Arc<Connector> {
        Connector::new(self.proxies(entry), Arc::clone(self.general.tls()))
    }

    fn proxies(&self, entry: &ModelEntry) -> Proxies {
        match &entry.proxy {
            Setting::Set(proxy) => Proxies::always(proxy.clone()),
            Setting::Absent | Setting::Unset(_) => self.general.proxies().clone(),
        }
    }

    /// The general TLS settings, overridden by these. Faulty ones are reported, and change nothing.
    fn tls(&self, settings: &TlsSettings, problems: &mut Vec<Problem>) -> Arc<Tls> {
        if settings.is_empty() {
            return Arc::clone(self.general.tls());
        }
        problems.extend(tls_files::warning(settings));
        let mut options = self.general.tls().options().clone();
        let trust = settings.verify.as_ref();
        match trust.map(|verify| tls_files::trust(verify, &self.system, self.now)).transpose() {
            Ok(trust) => options.trust = trust.unwrap_or(options.trust),
            Err(problem) => problems.push(problem),
        }
        match tls_files::own(settings, self.now) {
            Ok(own) => options.own = own.or(options.own),
            Err(problem) => problems.push(problem),
        }
        Tls::with(options)
    }

    /// The variables whose proxy cannot be used: errors if an upstream is to be reached through it.
    pub(super) fn proxy_problems(&self, built: &[(&ModelEntry, Deployment)]) -> Vec<Problem> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Deployment, Deployments};
    use callgate_config::{UnknownKeys, parse};
    use std::path::Path;

    fn built(settings: &str) -> Arc<Deployment> {
        let text = format!(
            "model_list: [{{model_name: a, litellm_params: {{model: openai/x, api_key: k, {settings}}}}}]"
        );
        let environment = Environment::from_pairs([("ALL_PROXY", "http://general:1")]);
        let file = Arc::from(Path::new("c.yaml"));
        let config = parse(&file, &text, &environment, UnknownKeys::Refuse).unwrap();
        Arc::clone(&Deployments::from_config(&config).unwrap().0.all()[0])
    }

    fn proxy(connector: &Connector) -> Option<&str> {
        let url = HttpUrl::parse("https://x.example").unwrap();
        connector.proxies().proxy_for(&url).map(|it| it.address())
    }

    #[test]
    fn tokens_are_fetched_by_the_entrys_proxy_from_an_issuer_that_proves_itself() {
        let verifies = |connector: &Connector| connector.tls().options().trust != Trust::Anyone;
        for (settings, expected, verified) in [
            ("", Some("general:1"), true),
            ("proxy: \"http://own:2\"", Some("own:2"), true),
            ("proxy: none, ssl_verify: false", None, false),
        ] {
            let deployment = built(settings);
            let (calls, tokens) = (&deployment.connector, &deployment.token_connector);
            assert_eq!((proxy(calls), proxy(tokens)), (expected, expected), "{settings}");
            assert_eq!((verifies(calls), verifies(tokens)), (verified, true), "{settings}");
        }
    }

    #[test]
    fn entries_with_equal_settings_share_a_connector() {
        let (one, other) = (built("ssl_verify: false"), built("ssl_verify: \"no\""));
        assert!(Arc::ptr_eq(&one.connector, &other.connector));
        assert!(!Arc::ptr_eq(&one.connector, &built("").connector));
        assert!(Arc::ptr_eq(&built("").connector, &one.token_connector));
    }
}
