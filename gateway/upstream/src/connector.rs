//! How connections to upstreams are made: through which proxy, and with which TLS settings. Equal
//! settings are one connector, also over reloads: its number separates idle connections, so one
//! that was made for other settings is never used.

use super::{Tls, TlsOptions};
use callgate_config::Proxies;
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// All connectors in use. Locked only while a config is built.
static IN_USE: Mutex<Vec<Weak<Connector>>> = Mutex::new(Vec::new());

static NEXT: AtomicU64 = AtomicU64::new(0);

/// How connections are made.
#[derive(Debug)]
pub struct Connector {
    /// Never used again for other settings.
    number: u64,
    proxies: Proxies,
    tls: Arc<Tls>,
}

impl Connector {
    /// The connector with these settings: one in use, if there is one.
    #[must_use]
    pub fn new(proxies: Proxies, tls: Arc<Tls>) -> Arc<Self> {
        let mut in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        in_use.retain(|it| it.strong_count() > 0);
        let same = |it: &Arc<Self>| it.proxies == proxies && Arc::ptr_eq(&it.tls, &tls);
        if let Some(same) = in_use.iter().filter_map(Weak::upgrade).find(same) {
            return same;
        }
        let made = Arc::new(Self::made(proxies, tls));
        in_use.push(Arc::downgrade(&made));
        made
    }

    fn made(proxies: Proxies, tls: Arc<Tls>) -> Self {
        Self { number: NEXT.fetch_add(1, Relaxed), proxies, tls }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    #[must_use]
    pub fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    #[must_use]
    pub fn tls(&self) -> &Arc<Tls> {
        &self.tls
    }
}

/// Without a proxy, for what makes no connections.
impl Default for Connector {
    fn default() -> Self {
        Self::made(Proxies::default(), Tls::with(TlsOptions::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use callgate_config::ProxyServer;

    #[test]
    fn equal_settings_are_one_connector() {
        let tls = Arc::new(Tls::default());
        let through = |text: &str| Proxies::always(ProxyServer::parse(text).ok());
        let first = Connector::new(through("a:1"), Arc::clone(&tls));
        assert!(Arc::ptr_eq(&first, &Connector::new(through("http://a:1/"), Arc::clone(&tls))));
        let others = [
            Connector::new(through("a:2"), Arc::clone(&tls)),
            Connector::new(through("u@a:1"), Arc::clone(&tls)),
            Connector::new(Proxies::always(None), Arc::clone(&tls)),
            Connector::new(through("a:1"), Arc::default()),
        ];
        assert!(others.iter().all(|other| other.number != first.number));
        let number = first.number;
        drop(first);
        assert_ne!(Connector::new(through("a:1"), tls).number, number, "an old connection fits");
    }
}
