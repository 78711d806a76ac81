//! A URL split once into where to connect, by which proxy, and what to request there.

use super::Connector;
use callgate_config::{HttpUrl, Proxies, ProxyServer};
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
    /// The first line of a request, with its end.
    request_line: String,
    /// The proxy that leads there.
    proxy: Option<Arc<ProxyServer>>,
    key: Arc<PoolKey>,
}

/// What idle connections have in common: the server, and how they were made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PoolKey {
    pub(super) tls: bool,
    hostname: String,
    port: u16,
    /// The connector's number.
    connector: u64,
}

impl Origin {
    /// Splits an `http` or `https` URL that is called directly; `None` for anything else.
    pub fn parse(url: &str) -> Option<Self> {
        Some(Self::of(&HttpUrl::parse(url).ok()?, &Proxies::default(), 0))
    }

    /// The same as the connector reaches it.
    pub(super) fn by(connector: &Connector, url: &str) -> Option<Self> {
        Some(Self::to(connector, &HttpUrl::parse(url).ok()?))
    }

    pub(super) fn to(connector: &Connector, url: &HttpUrl) -> Self {
        Self::of(url, connector.proxies(), connector.number())
    }

    fn of(url: &HttpUrl, proxies: &Proxies, connector: u64) -> Self {
        let (tls, port, hostname) = (url.is_tls(), url.port(), url.hostname().to_owned());
        let proxy = proxies.proxy_for(url).cloned();
        let (host, path) = (url.authority(), url.path_and_query());
        // A proxy that passes requests on has to be told the server. In a tunnel, it sees none.
        let request_line = match &proxy {
            Some(_) if !tls => format!("POST http://{host}{path} HTTP/1.1\r\n"),
            _ => format!("POST {path} HTTP/1.1\r\n"),
        };
        Self {
            tls,
            key: Arc::new(PoolKey { tls, hostname: hostname.clone(), port, connector }),
            hostname,
            port,
            host: host.to_owned(),
            request_line,
            proxy,
        }
    }

    pub(super) fn key(&self) -> &Arc<PoolKey> {
        &self.key
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn request_line(&self) -> &str {
        &self.request_line
    }

    pub(super) fn proxy(&self) -> Option<&Arc<ProxyServer>> {
        self.proxy.as_ref()
    }

    /// Whether a proxy reads the requests, and passes them on.
    pub(super) fn asks_proxy(&self) -> bool {
        self.proxy.is_some() && !self.tls
    }

    /// The header line for a proxy that passes requests on, with its end; empty without one.
    pub(super) fn proxy_line(&self) -> &str {
        let proxy = self.proxy.as_ref().filter(|_| !self.tls);
        proxy.map_or("", |proxy| proxy.authorization_line())
    }

    /// Host and port for `CONNECT`, an IPv6 address in brackets.
    pub(super) fn authority(&self) -> String {
        let Self { hostname, port, .. } = self;
        match hostname.contains(':') {
            true => format!("[{hostname}]:{port}"),
            false => format!("{hostname}:{port}"),
        }
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
            ("http://h/v1/x", Some((false, "h", 80, "h", "POST /v1/x HTTP/1.1\r\n"))),
            ("https://H:8443", Some((true, "H", 8443, "H:8443", "POST / HTTP/1.1\r\n"))),
            (
                "http://[::1]:9/a?b=c",
                Some((false, "::1", 9, "[::1]:9", "POST /a?b=c HTTP/1.1\r\n")),
            ),
            ("ftp://h/", None),
            ("http://", None),
            ("http://user:pass@h/", None),
            ("/v1", None),
        ] {
            let origin = Origin::parse(url);
            let parts = |it: &'_ Origin| (it.tls, it.port);
            assert_eq!(origin.as_ref().map(parts), expected.map(|it| (it.0, it.2)), "{url}");
            let texts = |it: &Origin| [&it.hostname, &it.host, &it.request_line].map(String::clone);
            let expected = expected.map(|it| [it.1, it.3, it.4].map(str::to_owned));
            assert_eq!(origin.as_ref().map(texts), expected, "{url}");
        }
    }

    #[test]
    fn a_proxy_is_told_the_server_and_given_its_credentials_only_without_tls() {
        let proxy = ProxyServer::parse("http://u:p@proxy:3128").ok();
        let connector = Connector::new(Proxies::always(proxy), Arc::default());
        let line = "proxy-authorization: Basic dTpw\r\n";
        for (url, request, credentials, authority) in [
            ("http://h/v1?a=b", "POST http://h/v1?a=b HTTP/1.1\r\n", line, "h:80"),
            ("http://[::1]:9", "POST http://[::1]:9/ HTTP/1.1\r\n", line, "[::1]:9"),
            ("https://h/v1", "POST /v1 HTTP/1.1\r\n", "", "h:443"),
        ] {
            let origin = Origin::by(&connector, url).unwrap();
            assert_eq!(origin.request_line(), request);
            assert_eq!((origin.proxy_line(), &*origin.authority()), (credentials, authority));
            let direct = Origin::parse(url).unwrap();
            assert_ne!(origin.key(), direct.key());
            assert_eq!(direct.proxy_line(), "");
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
