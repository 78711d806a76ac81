//! Outgoing proxies: the address of one, and the rule for which server is reached through which.
//! The usual variables set the rule for all upstreams, `proxy` of a `model_list` entry for one.
//! `upstream` connects through them.

mod no_proxy;
#[cfg(test)]
mod tests;

use super::{
    Environment, HttpUrl, Problem, Setting, UrlError,
    reader::{Field, Reader},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use callgate_secret::{Secret, Secrets};
use no_proxy::NoProxy;
use percent_encoding::percent_decode_str;
use std::{fmt, sync::Arc};

/// The port of a proxy whose URL has none.
const PORT: u16 = 80;

/// The `proxy` of an entry that is reached without one.
const DIRECT: &str = "none";

/// A proxy that is spoken to by plain HTTP. Its `Debug` shows no credentials.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyServer {
    /// Without brackets.
    hostname: String,
    port: u16,
    /// Host and port, for messages.
    address: String,
    /// The whole header line.
    authorization: Option<Secret>,
    password: Option<Secret>,
}

/// Why a text is not a usable proxy. Never shows the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("expected a proxy as `http://host:port`, found something else")]
    NotUrl,
    #[error("expected a proxy as `http://host:port`, found one by TLS (`https://`)")]
    Tls,
    #[error("expected a proxy as `http://host:port`, found one by SOCKS")]
    Socks,
}

impl ProxyServer {
    /// Reads `http://user:password@host:port`; the scheme, the user and the port may be missing.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => return Err(ProxyError::Tls),
            scheme if scheme.starts_with("socks") => return Err(ProxyError::Socks),
            _ => return Err(ProxyError::NotUrl),
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        let url = HttpUrl::parse(&format!("http://{host}/")).map_err(|error| match error {
            UrlError::NotUrl | UrlError::Scheme(_) | UrlError::Credentials | UrlError::Query => {
                ProxyError::NotUrl
            }
        })?;
        let port = if url.authority() == url.host() { PORT } else { url.port() };
        let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((user, password)) => (decoded(user), decoded(password)),
            None => (Vec::new(), Vec::new()),
        };
        let line = || {
            let pair = BASE64_STANDARD.encode([&user[..], b":", &password].concat());
            Secret::new(&format!("proxy-authorization: Basic {pair}\r\n"))
        };
        Ok(Self {
            hostname: url.hostname().to_owned(),
            port,
            address: format!("{}:{port}", url.host()),
            authorization: (!user.is_empty() || !password.is_empty()).then(line),
            password: String::from_utf8(password).ok().as_deref().map(Secret::new),
        })
    }

    /// The host without brackets, for name resolution.
    #[must_use]
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, for messages.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The header line with its credentials, line break included; empty if it needs none. Secret.
    #[must_use]
    pub fn authorization_line(&self) -> &str {
        self.authorization.as_ref().map_or("", Secret::expose)
    }

    /// The value of that header; empty if it needs none. Secret.
    #[must_use]
    pub fn authorization(&self) -> &str {
        let line = self.authorization_line().trim_end();
        line.split_once(": ").map_or("", |(_, value)| value)
    }

    /// Adds its credentials, plain and as they are sent.
    pub fn add_secrets(&self, secrets: &mut Secrets) {
        if let Some(password) = &self.password {
            secrets.add(password.expose());
        }
        if let Some((_, sent)) = self.authorization().split_once(' ') {
            secrets.add(sent);
        }
    }
}

impl fmt::Debug for ProxyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProxyServer({})", self.address)
    }
}

fn decoded(text: &str) -> Vec<u8> {
    percent_decode_str(text).collect()
}

/// Which proxy leads to which server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `http://` and for `https://` servers.
    http: Option<Arc<ProxyServer>>,
    https: Option<Arc<ProxyServer>>,
    except: NoProxy,
}

/// A variable whose proxy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableProxy {
    pub variable: &'static str,
    pub error: ProxyError,
    /// Whether it is meant for `https://` servers.
    pub tls: bool,
}

impl Proxies {
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. A name in lower case wins,
    /// even if its value is blank, which stands for no proxy.
    pub fn from_environment(environment: &Environment) -> (Self, Vec<UnusableProxy>) {
        let mut unusable = Vec::new();
        let mut chosen = |names: [&'static str; 4], tls| {
            let (variable, value) = first_set(environment, names)?;
            let proxy = ProxyServer::parse(value);
            proxy.map_err(|error| unusable.push(UnusableProxy { variable, error, tls })).ok()
        };
        let http = chosen(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"], false);
        let https = chosen(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"], true);
        let (http, https) = (http.map(Arc::new), https.map(Arc::new));
        let except = environment.var("no_proxy").or_else(|| environment.var("NO_PROXY"));
        (Self { http, https, except: NoProxy::parse(except.unwrap_or_default()) }, unusable)
    }

    /// Every server is reached through this proxy; without one, directly.
    #[must_use]
    pub fn always(proxy: Option<ProxyServer>) -> Self {
        let proxy = proxy.map(Arc::new);
        Self { http: proxy.clone(), https: proxy, except: NoProxy::nothing() }
    }

    /// The proxy that leads to this server, if any.
    #[must_use]
    pub fn proxy_for(&self, url: &HttpUrl) -> Option<&Arc<ProxyServer>> {
        let proxy = if url.is_tls() { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.exempts(url))
    }

    /// Whether `NO_PROXY` exempts this server.
    #[must_use]
    pub fn exempts(&self, url: &HttpUrl) -> bool {
        self.except.has(url)
    }

    /// Adds the credentials of all proxies.
    pub fn add_secrets(&self, secrets: &mut Secrets) {
        [&self.http, &self.https].into_iter().flatten().for_each(|it| it.add_secrets(secrets));
    }
}

/// The first variable that is set, with its value; `None` also if that value is blank. A blank
/// variable for one scheme hides the ones for all schemes.
fn first_set<'e>(
    environment: &'e Environment,
    names: [&'static str; 4],
) -> Option<(&'static str, &'e str)> {
    let set = |name: &'static str| environment.var(name).map(|value| (name, value));
    names.into_iter().find_map(set).filter(|(_, value)| !value.trim().is_empty())
}

/// The `proxy` of an entry: a proxy's URL, or `none`, which is `Set(None)`.
pub(super) fn of_entry(reader: &mut Reader<'_>, field: &Field<'_>) -> Setting<Option<ProxyServer>> {
    let text = match reader.secret(field) {
        Setting::Set(text) => text,
        Setting::Unset(unset) => return Setting::Unset(unset),
        Setting::Absent => return Setting::Absent,
    };
    if text.expose().trim().eq_ignore_ascii_case(DIRECT) {
        return Setting::Set(None);
    }
    match ProxyServer::parse(text.expose()) {
        Ok(proxy) => Setting::Set(Some(proxy)),
        Err(error) => {
            let problem = Problem::error(reader.place(field), error.to_string());
            reader.problems.push(problem.remedy("or write `none` to reach the upstream directly"));
            Setting::Absent
        }
    }
}
