//! `NO_PROXY`: the servers that are reached directly. Read as curl and Python's `requests` do: a
//! list of names, which stand for their subdomains too, of addresses and of networks, each with or
//! without a port, or `*`. This machine's own names are always exempt, as in Go's programs: a proxy
//! would look for them on its own machine.

use super::HttpUrl;
use ipnet::IpNet;
use std::net::IpAddr;

/// The servers that are reached without a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoProxy {
    /// This machine is not exempt.
    here_too: bool,
    exempt: Vec<Exempt>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Exempt {
    All,
    /// In lower case, without a leading dot, and the port if it is limited to one.
    Domain(String, Option<u16>),
    Network(IpNet, Option<u16>),
}

impl NoProxy {
    /// No server is exempt, not even this machine.
    pub(super) fn nothing() -> Self {
        Self { here_too: true, exempt: Vec::new() }
    }

    pub(super) fn parse(list: &str) -> Self {
        let items = list.split([',', ' ', '\t']).map(str::trim).filter(|item| !item.is_empty());
        Self { here_too: false, exempt: items.filter_map(Exempt::parse).collect() }
    }

    /// Whether this server is exempt.
    pub(super) fn has(&self, url: &HttpUrl) -> bool {
        let host = url.hostname();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        let here = match address {
            Some(address) => address.is_loopback(),
            None => host == "localhost" || host.ends_with(".localhost"),
        };
        (here && !self.here_too)
            || self.exempt.iter().any(|it| it.covers(&host, address, url.port()))
    }
}

impl Exempt {
    fn parse(item: &str) -> Option<Self> {
        if item == "*" {
            return Some(Self::All);
        }
        let network = |text: &str| {
            let plain = text.trim_start_matches('[').trim_end_matches(']');
            let address = || plain.parse::<IpAddr>().map(IpNet::from).ok();
            plain.parse::<IpNet>().ok().or_else(address)
        };
        // An IPv6 address has colons of its own.
        if let Some(network) = network(item) {
            return Some(Self::Network(network, None));
        }
        let (name, port) = match item.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (item, None),
        };
        if let Some(network) = network(name) {
            return Some(Self::Network(network, port));
        }
        let name = name.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.');
        (!name.is_empty()).then(|| Self::Domain(name.to_ascii_lowercase(), port))
    }

    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let fits = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        match self {
            Self::All => true,
            Self::Domain(domain, wanted) => {
                let rest = host.strip_suffix(domain.as_str());
                fits(wanted) && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
            Self::Network(network, wanted) => {
                fits(wanted) && address.is_some_and(|address| network.contains(&address))
            }
        }
    }
}
