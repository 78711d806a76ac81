//! A URL split once into where to connect and which path to request.

use callgate_config::HttpUrl;
use std::sync::Arc;

/// An upstream's address and one path on it.
#[derive(Debug)]
pub struct Origin {
    pub tls: bool,
    /// Without brackets.
    pub(super) hostname: String,
    pub port: u16,
    /// The value of the `Host` header.
    host: String,
    path: String,
    /// The key of idle connections: scheme, host and port.
    key: Arc<(bool, String, u16)>,
}

impl Origin {
    /// Splits an `http` or `https` URL; `None` for anything else.
    pub fn parse(url: &str) -> Option<Self> {
        let url = HttpUrl::parse(url).ok()?;
        let (tls, port, hostname) = (url.is_tls(), url.port(), url.hostname().to_owned());
        Some(Self {
            tls,
            key: Arc::new((tls, hostname.clone(), port)),
            hostname,
            port,
            host: url.authority().to_owned(),
            path: url.path_and_query().to_owned(),
        })
    }

    pub fn key(&self) -> &Arc<(bool, String, u16)> {
        &self.key
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// The address for messages.
    pub fn address(&self) -> String {
        format!("{}:{}", self.hostname, self.port)
    }

    /// Whether this is an ngrok tunnel, which shows browsers a page first.
    pub fn is_ngrok(&self) -> bool {
        self.hostname.split('.').any(|label| label.starts_with("ngrok"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        for (url, expected) in [
            ("http://h/v1/x", Some((false, "h", 80, "h", "/v1/x"))),
            ("https://H:8443", Some((true, "H", 8443, "H:8443", "/"))),
            ("http://[::1]:9/a?b=c", Some((false, "::1", 9, "[::1]:9", "/a?b=c"))),
            ("ftp://h/", None),
            ("http://", None),
            ("http://user:pass@h/", None),
            ("/v1", None),
        ] {
            let origin = Origin::parse(url);
            let found =
                origin.as_ref().map(|it| (it.tls, &*it.hostname, it.port, &*it.host, &*it.path));
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn ngrok_hosts_are_known_by_their_domain() {
        for (host, expected) in [
            ("a.ngrok-free.dev", true),
            ("a.ngrok.io", true),
            ("ngrok.example.com", true),
            ("api.openai.com", false),
            ("my-ngrok.example", false),
        ] {
            let origin = Origin::parse(&format!("https://{host}/v1")).unwrap();
            assert_eq!(origin.is_ngrok(), expected, "{host}");
        }
    }
}
