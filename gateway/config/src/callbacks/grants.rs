//! `grants` of a callback's entry: access that the operator gives to this callback alone.

use crate::reader::{Field, Reader};

/// What the operator grants one callback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Environment variables that it may read, by name.
    pub secrets: Vec<String>,
    /// Hosts its requests may go to.
    pub http_hosts: Vec<HostPattern>,
    /// Models of the config that it may call; `*` stands for any text.
    pub models: Vec<String>,
    /// Whether it sees the headers with clients' keys unmasked.
    pub read_auth_header: bool,
    /// Hosts that get a deployment's key, headers and organization if the callback sends a call
    /// there.
    pub credentials_to: Vec<HostPattern>,
}

impl Grants {
    /// Whether a server that the callback chose gets the deployment's secrets from the config.
    pub fn trusts(&self, host: &str, port: u16) -> bool {
        self.credentials_to.iter().any(|pattern| pattern.matches(host, port))
    }
}

/// `host`, `host:port` or `*.suffix`, the last with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    /// Lower case; for a wildcard the text after `*`, with its dot.
    name: String,
    is_suffix: bool,
    /// `None` for any port.
    port: Option<u16>,
}

impl HostPattern {
    /// Exactly this host and port.
    pub fn exactly(host: &str, port: u16) -> Self {
        Self { name: host.to_ascii_lowercase(), is_suffix: false, port: Some(port) }
    }

    /// Parses a pattern; `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            // `[::1]` contains colons.
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (text, None),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if let Some(address) = bare {
            address.parse::<std::net::Ipv6Addr>().ok()?;
            return Some(Self { name: host.to_ascii_lowercase(), is_suffix: false, port });
        }
        let (name, is_suffix) = match host.strip_prefix('*') {
            Some(suffix) => (suffix, true),
            None => (host, false),
        };
        let labels = if is_suffix { name.strip_prefix('.')? } else { name };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        let label = |label: &str| !label.is_empty() && label.bytes().all(legal);
        labels.split('.').all(label).then(|| Self {
            name: name.to_ascii_lowercase(),
            is_suffix,
            port,
        })
    }

    /// Whether it matches this host and port. `*.a.b` matches every name below `a.b`, but not
    /// `a.b`.
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let named = if self.is_suffix {
            host.len() > self.name.len() && host.ends_with(&self.name)
        } else {
            host == self.name
        };
        named && self.port.is_none_or(|granted| granted == port)
    }
}

/// Reads the `grants` of one entry.
pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>) -> Grants {
    let Some(mut section) = reader.section(field) else { return Grants::default() };
    let mut grants = Grants::default();
    let secrets = section.take("secrets").map(|field| reader.list(&field));
    for item in secrets.unwrap_or_default() {
        let Some(name) = reader.text(&item) else { continue };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !name.is_empty() && name.bytes().all(legal) {
            grants.secrets.push(name);
        } else {
            // Any other text here is likely a key, so it is not quoted.
            reader.error(
                &item,
                "expected the name of a variable, such as `API_KEY`, found something else",
            );
        }
    }
    let lists =
        [("http_hosts", &mut grants.http_hosts), ("credentials_to", &mut grants.credentials_to)];
    for (key, patterns) in lists {
        let hosts = section.take(key).map(|field| reader.list(&field));
        for item in hosts.unwrap_or_default() {
            let Some(text) = reader.text(&item) else { continue };
            match HostPattern::parse(&text) {
                Some(pattern) => patterns.push(pattern),
                None => reader.error(
                    &item,
                    "expected a host: `api.example.com`, `api.example.com:8443` or `*.example.com`, found something else",
                ),
            }
        }
    }
    if let Some(field) = section.take("models") {
        grants.models = reader.texts(&field);
    }
    let auth = section.take("read_auth_header").and_then(|field| reader.boolean(&field));
    grants.read_auth_header = auth.unwrap_or_default();
    section.finish_own(reader);
    grants
}

#[cfg(test)]
mod tests {
    use super::HostPattern;

    #[test]
    fn a_pattern_means_a_host_and_perhaps_a_port() {
        for (pattern, host, port, expected) in [
            ("a.example", "a.example", 443, true),
            ("a.example", "A.EXAMPLE.", 80, true),
            ("a.example", "b.a.example", 443, false),
            ("a.example:8443", "a.example", 8443, true),
            ("a.example:8443", "a.example", 443, false),
            ("*.example", "a.b.example", 1, true),
            ("*.example", "example", 1, false),
            ("*.example:2", "a.example", 1, false),
            ("127.0.0.1:9", "127.0.0.1", 9, true),
            ("[::1]:9", "[::1]", 9, true),
            ("[::1]", "[::1]", 9, true),
        ] {
            let parsed = HostPattern::parse(pattern).unwrap_or_else(|| panic!("{pattern}"));
            assert_eq!(parsed.matches(host, port), expected, "{pattern} {host}:{port}");
        }
        for text in [
            "",
            "*",
            "*a.b",
            "*.",
            "a..b",
            "https://a",
            "a/b",
            "a:x",
            "a:99999",
            "a b",
            "[x]",
            "::1",
        ] {
            assert_eq!(HostPattern::parse(text), None, "{text}");
        }
    }
}
