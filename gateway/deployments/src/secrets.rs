//! The secrets of the config's deployments.

use super::{Deployment, Deployments, Setting};
use callgate_secret::Secrets;

impl Deployment {
    /// Adds every secret that is sent to this deployment's upstream.
    pub fn add_secrets(&self, secrets: &mut Secrets) {
        if let Setting::Set(key) = &self.api_key {
            secrets.add(key.expose());
        }
        self.connector.proxies().add_secrets(secrets);
        if let Some(source) = &self.token_source {
            secrets.add(source.secret().expose());
        }
        if let Setting::Set(organization) = &self.organization {
            secrets.add(organization);
        }
        if let Setting::Set(base) = &self.api_base {
            secrets.add_base(base);
        }
        for (name, value) in &self.extra_headers {
            if let Setting::Set(value) = value {
                secrets.add_header(name, value.expose());
            }
        }
        for (name, value) in &self.params {
            secrets.add_member(name, value);
        }
    }
}

impl Deployments {
    /// Adds the secrets of all deployments, including the providers' stand-ins.
    pub fn add_secrets(&self, secrets: &mut Secrets) {
        let all = self.all.iter().chain(self.by_provider.values());
        all.for_each(|deployment| deployment.add_secrets(secrets));
        self.connector.proxies().add_secrets(secrets);
    }
}
