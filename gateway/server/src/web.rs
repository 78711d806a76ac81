//! Which web pages may call the gateway, and the CORS headers for their browsers.
//!
//! Without a master key, everybody who reaches the gateway can spend the operator's keys, and a
//! browser on this machine reaches it for any page. Such a request either carries the page's
//! `Origin`, or uses a DNS name of the page that was made to point here, which is then the
//! request's `Host`. So both are checked before anything else. A gateway with a master key needs no
//! such check, because no page knows the key.

use super::{host::is_host, refusal_log::shortened};
use callgate_config::{Config, WebSettings};
use callgate_failure::{Failure, Foreign};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, HOST, ORIGIN, VARY},
    request::Parts,
};
use std::net::{IpAddr, Ipv6Addr};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const REQUEST_PRIVATE: HeaderName =
    HeaderName::from_static("access-control-request-private-network");
const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// The rules for requests from web pages.
#[derive(Debug)]
pub(crate) struct WebRules {
    /// Whether there is a master key.
    keyed: bool,
    settings: WebSettings,
    bound: Bound,
}

/// Where the gateway listens.
#[derive(Debug)]
enum Bound {
    /// Every address of the machine. A page can make a DNS name point at the gateway, but not an
    /// address, so every address passes as `Host`: only the network knows which ones lead here.
    Everywhere,
    Address(IpAddr),
    Name(String),
}

impl WebRules {
    /// `host` is the address to listen on, as the operator wrote it.
    pub(crate) fn new(config: &Config, host: &str) -> Self {
        let mut settings = config.gateway.web.clone();
        // With keys, the keys protect.
        let keyed = config.is_keyed();
        settings.any_origin |= keyed && settings.origins.is_none();
        let bound = match host.parse::<IpAddr>() {
            Ok(address) if address.is_unspecified() => Bound::Everywhere,
            Ok(address) => Bound::Address(address.to_canonical()),
            Err(_) => Bound::Name(host.to_ascii_lowercase()),
        };
        Self { keyed, settings, bound }
    }

    /// The rules of a gateway without a master key on the loopback address.
    #[cfg(feature = "fuzzing")]
    pub(super) fn for_fuzzing() -> Self {
        let bound = Bound::Address(IpAddr::from([127, 0, 0, 1]));
        Self { keyed: false, settings: WebSettings::default(), bound }
    }

    /// Refuses, without a master key, a request that a foreign web page may have sent. Its `Host`
    /// is known to be well-formed.
    pub(super) fn admit(&self, head: &Parts) -> Result<(), Failure> {
        if self.keyed {
            return Ok(());
        }
        let host = head.headers.get(HOST).map(|host| host.to_str().unwrap_or_default());
        // A request in absolute form names its host twice.
        let named = head.uri.authority().map(http::uri::Authority::as_str);
        for host in host.into_iter().chain(named) {
            if !self.serves(host) {
                return Err(Failure::foreign(Foreign::Host(&shortened(host))));
            }
        }
        self.admit_page(&head.headers)
    }

    /// Checks `Origin` if there is one. A page can leave it out only in requests that its browser
    /// marks with `Sec-Fetch-Site`.
    fn admit_page(&self, headers: &HeaderMap) -> Result<(), Failure> {
        if self.settings.any_origin {
            return Ok(());
        }
        let mut known = false;
        for origin in headers.get_all(ORIGIN) {
            if !self.allows(origin) {
                let origin = String::from_utf8_lossy(origin.as_bytes());
                return Err(Failure::foreign(Foreign::Origin(&shortened(&origin))));
            }
            known = true;
        }
        let cross_site = |site: &HeaderValue| site.as_bytes().eq_ignore_ascii_case(b"cross-site");
        if !known && headers.get_all(SEC_FETCH_SITE).iter().any(cross_site) {
            return Err(Failure::foreign(Foreign::Site));
        }
        Ok(())
    }

    /// Whether pages of `origin` may read responses.
    fn allows(&self, origin: &HeaderValue) -> bool {
        let Ok(origin) = origin.to_str() else { return false };
        self.settings.any_origin
            || self.settings.origins.iter().flatten().any(|it| it.eq_ignore_ascii_case(origin))
            || (!self.keyed && is_loopback_origin(origin))
    }

    fn serves(&self, host: &str) -> bool {
        let name = name_of(host);
        if self.settings.any_host || is_loopback(name) {
            return true;
        }
        let bound = match (&self.bound, name.parse::<IpAddr>()) {
            (Bound::Everywhere, Ok(_)) => true,
            (Bound::Address(bound), Ok(address)) => *bound == address.to_canonical(),
            (Bound::Name(bound), _) => bound.eq_ignore_ascii_case(name),
            _ => false,
        };
        bound || self.settings.hosts.iter().any(|it| it.eq_ignore_ascii_case(name))
    }

    /// Lets the page of `origin` read the response if its origin is allowed. `origin` is `None` for
    /// a request with several.
    pub(super) fn mark(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
        headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        if !self.settings.any_origin {
            headers.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else { return };
        let any = HeaderValue::from_static("*");
        let allowed = if self.settings.any_origin { any.clone() } else { origin.clone() };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, any);
    }

    /// The response to a CORS preflight, on any path and before the key is checked, as in LiteLLM.
    pub(super) fn preflight(
        &self,
        asked: &HeaderMap,
        origin: Option<&HeaderValue>,
    ) -> Result<HeaderMap, Failure> {
        if !origin.is_some_and(|origin| self.allows(origin)) {
            return Err(Failure::foreign_preflight());
        }
        let mut headers = HeaderMap::new();
        let methods = HeaderValue::from_static("GET, POST, OPTIONS");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
        // `*` would not include `Authorization`.
        let wanted = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let wanted = wanted.unwrap_or(HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        if asked.get(REQUEST_PRIVATE).is_some_and(|asks| asks == "true") {
            headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
        }
        Ok(headers)
    }
}

/// The one origin of a request; `None` if it has several.
pub(super) fn origin(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut origins = headers.get_all(ORIGIN).iter();
    origins.next().filter(|_| origins.next().is_none()).cloned()
}

/// The host of an authority, without its port, IPv6 brackets and trailing dot. Empty if something
/// else is in the brackets.
fn name_of(authority: &str) -> &str {
    let authority = authority.rsplit('@').next().unwrap_or_default();
    let name = match authority.strip_prefix('[') {
        Some(rest) => {
            let inside = rest.split(']').next().unwrap_or_default();
            return if inside.parse::<Ipv6Addr>().is_ok() { inside } else { "" };
        }
        None => authority.split(':').next().unwrap_or_default(),
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// Browsers resolve `localhost` and every name below it to this machine, whatever DNS says.
fn is_loopback(name: &str) -> bool {
    let local = "localhost".len();
    let ends = name.len().checked_sub(local).and_then(|at| name.split_at_checked(at));
    ends.is_some_and(|(rest, end)| {
        end.eq_ignore_ascii_case("localhost") && (rest.is_empty() || rest.ends_with('.'))
    }) || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn is_loopback_origin(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    web && is_host(authority.as_bytes()) && is_loopback(name_of(authority))
}

#[cfg(test)]
mod tests;
