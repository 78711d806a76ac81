//! The only reader of `http` and `https` URLs: upstreams' bases, and URLs that callbacks set and
//! call.
//!
//! Every check of a URL (may this callback call it, is it the deployment's own server) uses the
//! parts that the client connects to, because a second reader that differs could be exploited.
//! Origins and hosts in clients' headers are not URLs: `web` and `server::web` read those.

use http::Uri;
use std::net::IpAddr;

/// A URL that names a server by host and port, without a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    uri: Uri,
    tls: bool,
    port: u16,
}

/// Why a text is not a usable URL. Never shows the text, which may hold a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    #[error("expected a URL such as `https://host/v1`, found something else")]
    NotUrl,
    /// The scheme, if there is one.
    #[error("expected a URL that begins with `http://` or `https://`, found another scheme")]
    Scheme(Option<String>),
    #[error("expected a URL without a user name or password")]
    Credentials,
    #[error("expected a URL without `?` or `#`: paths are appended to it")]
    Query,
}

/// The identity of a server: two URLs with equal addresses lead to the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    tls: bool,
    host: String,
    port: u16,
}

impl HttpUrl {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::NotUrl)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => return Err(UrlError::Scheme(other.map(str::to_owned))),
        };
        let authority = uri.authority().ok_or(UrlError::NotUrl)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::Credentials);
        }
        let host = authority.host();
        let default = if tls { 443 } else { 80 };
        let port = match authority.as_str().get(host.len()..) {
            Some("") => default,
            _ => authority.port_u16().ok_or(UrlError::NotUrl)?,
        };
        if host.is_empty() {
            return Err(UrlError::NotUrl);
        }
        Ok(Self { uri, tls, port })
    }

    /// Parses a URL that paths can be appended to.
    pub fn parse_base(text: &str) -> Result<Self, UrlError> {
        if text.contains(['?', '#']) {
            return Err(UrlError::Query);
        }
        Self::parse(text)
    }

    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// As written, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The host without brackets, for name resolution.
    pub fn hostname(&self) -> &str {
        self.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The port; the scheme's default if none is written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as written, for the `Host` header.
    pub fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    pub fn path(&self) -> &str {
        self.uri.path()
    }

    pub fn path_and_query(&self) -> &str {
        self.uri.path_and_query().map_or("/", |path| path.as_str())
    }

    /// The address of the server, in one spelling.
    pub fn server(&self) -> ServerAddress {
        let host = self.hostname();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        // IPv6 addresses have several spellings.
        let host = host.parse::<IpAddr>().map_or(host, |address| address.to_string());
        ServerAddress { tls: self.tls, host, port: self.port }
    }

    pub fn into_uri(self) -> Uri {
        self.uri
    }
}

#[cfg(test)]
mod tests {
    use super::{HttpUrl, UrlError};

    #[test]
    fn urls_are_split() {
        for (text, expected) in [
            ("http://h/v1/x", (false, "h", "h", 80, "h", "/v1/x")),
            ("https://H:8443", (true, "H", "H", 8443, "H:8443", "/")),
            ("HTTPS://h:443/", (true, "h", "h", 443, "h:443", "/")),
            ("http://[::1]:9/a?b=c", (false, "[::1]", "::1", 9, "[::1]:9", "/a?b=c")),
            ("http://h/a#b", (false, "h", "h", 80, "h", "/a")),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            let (tls, host, name, port) = (url.is_tls(), url.host(), url.hostname(), url.port());
            let found = (tls, host, name, port, url.authority(), url.path_and_query());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn what_names_no_server_or_a_user_is_refused() {
        let scheme = |scheme: &str| UrlError::Scheme(Some(scheme.to_owned()));
        for (text, expected) in [
            ("", UrlError::NotUrl),
            ("not a url", UrlError::NotUrl),
            ("http://", UrlError::NotUrl),
            ("http:///v1", UrlError::NotUrl),
            ("http://:80/", UrlError::NotUrl),
            ("http://h:", UrlError::NotUrl),
            ("http://h:99999/", UrlError::NotUrl),
            ("http://h:8x/", UrlError::NotUrl),
            ("/v1", UrlError::Scheme(None)),
            ("h:80", UrlError::Scheme(None)),
            ("ftp://h/", scheme("ftp")),
            ("http://u@h/", UrlError::Credentials),
            ("https://u:p@h/", UrlError::Credentials),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(expected), "{text}");
        }
        for text in ["https://h/v1?key=sk-1", "https://h/v1#x"] {
            assert!(HttpUrl::parse(text).is_ok(), "{text}");
            assert_eq!(HttpUrl::parse_base(text), Err(UrlError::Query), "{text}");
        }
    }

    #[test]
    fn the_same_server_is_known_in_every_spelling() {
        let server = |text: &str| HttpUrl::parse(text).unwrap().server();
        for (one, other, expected) in [
            ("https://a.example/v1", "https://A.EXAMPLE:443/other", true),
            ("http://a.example.", "http://a.example:80", true),
            ("http://[::1]:9/v1", "http://[0:0:0:0:0:0:0:1]:9", true),
            ("HTTPS://a.example", "https://a.example", true),
            ("https://a.example", "http://a.example", false),
            ("https://a.example", "https://a.example:8443", false),
            ("https://a.example", "https://a.example.evil.test", false),
            ("https://a.example", "https://b.a.example", false),
            ("http://127.0.0.1:1", "http://127.0.0.1:2", false),
        ] {
            assert_eq!(server(one) == server(other), expected, "{one} {other}");
        }
    }
}
