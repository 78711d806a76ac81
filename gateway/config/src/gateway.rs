//! The `callgate` section: the keys that only this gateway has.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::keys::{self, ClientKey};
use super::reader::{Field, Reader};
use super::section::Section;
use super::upstream::{self, Reuse};
use super::web::{self, WebSettings};
use callgate_secret::Secret;

/// The `callgate` section.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// Whether a warning prevents the start.
    pub strict: bool,
    /// Protective LiteLLM keys that may be ignored.
    pub accept_unprotected: Vec<String>,
    /// The folder in which plugins are looked up first; relative paths start at the config's
    /// folder.
    pub plugin_dir: Option<PathBuf>,
    /// When plugins are probed in a child process before they are loaded.
    pub probe: Probing,
    /// The time limit of a probe.
    pub probe_timeout: Duration,
    /// The folder in which the gateway caches facts about plugins; relative paths start at the
    /// config's folder.
    pub cache_dir: Option<PathBuf>,
    /// The folder in which callbacks keep what must survive a restart; relative paths start at the
    /// config's folder.
    pub state_dir: Option<PathBuf>,
    /// Whether every plugin must be pinned by its SHA-256.
    pub require_pins: bool,
    /// Whether to refuse plugins that other users can change; `None`: only if running as root.
    pub strict_owner: Option<bool>,
    /// The keys of clients, beside the master key.
    pub keys: Vec<ClientKey>,
    /// The web pages and host names that may be used.
    pub web: WebSettings,
    /// The proxies in front of the gateway whose headers may state the client's address.
    pub trusted_proxies: Vec<IpNet>,
    /// The longest silence of a streamed response before the client gets a keep-alive comment;
    /// `None`: no keep-alives.
    pub stream_keepalive: Option<Duration>,
    /// The limit for the first content of a stream, unless a deployment sets one; `None`: the limit
    /// for any event.
    pub first_content_timeout: Option<Duration>,
    /// Limits on the size and duration of requests.
    pub limits: Limits,
    /// Whether the gateway reloads when the config, its `.env` file or a plugin changes.
    pub watch: bool,
    /// How long connections to upstreams are kept for reuse.
    pub upstream: Reuse,
    /// The content of the log.
    pub log: LogSettings,
}

/// The content of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Whether it shows upstreams' error messages.
    pub upstream_errors: bool,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { upstream_errors: true }
    }
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self {
            strict: false,
            accept_unprotected: Vec::new(),
            plugin_dir: None,
            probe: Probing::OnChange,
            probe_timeout: Duration::from_secs(5),
            cache_dir: None,
            state_dir: None,
            require_pins: false,
            strict_owner: None,
            keys: Vec::new(),
            web: WebSettings::default(),
            trusted_proxies: Vec::new(),
            stream_keepalive: None,
            first_content_timeout: None,
            limits: Limits::default(),
            watch: false,
            upstream: Reuse::default(),
            log: LogSettings::default(),
        }
    }
}

/// When plugins are probed in a child process before they are loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Probing {
    /// If the file, its settings or the gateway has changed (the default).
    #[default]
    OnChange,
    /// At every start.
    Always,
    /// Never.
    Never,
}

/// Limits on the size and duration of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request body, in bytes (32 MiB).
    pub max_body_bytes: usize,
    /// Largest request head, in bytes (64 KiB).
    pub max_header_bytes: usize,
    /// The most client connections open at once; `None`: as many as the limit of open files allows.
    pub max_connections: Option<usize>,
    /// The most bytes of all request bodies in memory at once; `None`: a quarter of the memory.
    pub max_inflight_bytes: Option<usize>,
    /// The time for a request head to arrive, from its first byte, or from the opening of a new
    /// connection (30 s).
    pub header_timeout: Duration,
    /// The time for which a connection may be idle between two requests (75 s).
    pub keepalive_timeout: Duration,
    /// The time for a request body to arrive (60 s).
    pub body_timeout: Duration,
    /// The time for which a client may read nothing of its response (60 s).
    pub write_timeout: Duration,
    /// Largest JSON reply of an upstream, in bytes (64 MiB).
    pub max_reply_bytes: usize,
    /// The most text of a streamed response that is kept for hooks, in bytes (8 MiB).
    pub max_stream_text_bytes: usize,
    /// The time for running calls to end after a stop signal (30 s).
    pub drain_timeout: Duration,
    /// The most plugin files mapped at once. A reload maps each new file and cannot unmap old ones
    /// (100).
    pub max_plugin_libraries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 32 << 20,
            max_header_bytes: 64 << 10,
            max_connections: None,
            max_inflight_bytes: None,
            header_timeout: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            max_reply_bytes: 64 << 20,
            max_stream_text_bytes: 8 << 20,
            drain_timeout: Duration::from_secs(30),
            max_plugin_libraries: 100,
        }
    }
}

/// Reads the section. `strict` has been applied before; `max_body_bytes` is used if the section
/// sets none.
pub(super) fn read(
    reader: &mut Reader<'_>,
    section: Option<Section<'_>>,
    max_body_bytes: Option<usize>,
    master_key: Option<&Secret>,
) -> GatewaySettings {
    let mut settings = GatewaySettings::default();
    if let Some(bytes) = max_body_bytes {
        settings.limits.max_body_bytes = bytes;
    }
    let Some(mut section) = section else { return settings };
    let strict = section.take("strict").and_then(|field| reader.boolean(&field));
    settings.strict = strict.unwrap_or_default();
    // This key was read before all others.
    section.take("accept_unprotected");
    if let Some(field) = section.take("plugin_dir") {
        settings.plugin_dir = reader.text(&field).map(|dir| reader.beside_config(&dir));
    }
    if let Some(field) = section.take("cache_dir") {
        settings.cache_dir = reader.text(&field).map(|dir| reader.beside_config(&dir));
    }
    if let Some(field) = section.take("state_dir") {
        settings.state_dir = reader.text(&field).map(|dir| reader.beside_config(&dir));
    }
    let choices = [Probing::OnChange, Probing::Always, Probing::Never];
    let probe = choice(reader, &mut section, "probe", ["on_change", "always", "never"]);
    settings.probe = probe.and_then(|it| choices.get(it).copied()).unwrap_or_default();
    if let Some(duration) = section.take("probe_timeout").and_then(|field| reader.duration(&field))
    {
        settings.probe_timeout = duration;
    }
    let watch = section.take("watch").and_then(|field| reader.boolean(&field));
    settings.watch = watch.unwrap_or_default();
    let pins = section.take("require_pins").and_then(|field| reader.boolean(&field));
    settings.require_pins = pins.unwrap_or_default();
    let verify = choice(reader, &mut section, "verify_owner", ["warn", "strict"]);
    settings.strict_owner = verify.map(|it| it == 1);
    settings.web = web::read(reader, &mut section);
    if let Some(field) = section.take("keys") {
        settings.keys = keys::read(reader, &field, master_key);
    }
    if let Some(field) = section.take("trusted_proxies") {
        settings.trusted_proxies = networks(reader, &field);
    }
    for (key, duration) in [
        ("stream_keepalive", &mut settings.stream_keepalive),
        ("first_content_timeout", &mut settings.first_content_timeout),
    ] {
        *duration = section.take(key).and_then(|field| reader.duration(&field));
    }
    if let Some(field) = section.take("limits") {
        read_limits(reader, &field, &mut settings.limits);
    }
    if let Some(field) = section.take("upstream") {
        upstream::read(reader, &field, &mut settings.upstream);
    }
    if let Some(field) = section.take("log") {
        read_log(reader, &field, &mut settings.log);
    }
    section.finish_own(reader);
    settings
}

/// The value of a key that takes one of several words.
fn choice<const N: usize>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    words: [&str; N],
) -> Option<usize> {
    let field = section.take(key)?;
    let text = reader.text(&field)?;
    let chosen = words.iter().position(|word| *word == text);
    if chosen.is_none() {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        reader.expected(&field, &format!("one of {}", words.join(", ")));
    }
    chosen
}

/// A list of networks and single addresses.
fn networks(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for item in reader.list(field) {
        let Some(text) = reader.text(&item) else { continue };
        let read = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        match read {
            Ok(network) => networks.push(network),
            Err(_) => reader.expected(&item, "an address or a network such as `10.0.0.0/8`"),
        }
    }
    networks
}

fn read_log(reader: &mut Reader<'_>, field: &Field<'_>, log: &mut LogSettings) {
    let Some(mut section) = reader.section(field) else { return };
    let words = section.take("upstream_errors").and_then(|field| reader.boolean(&field));
    log.upstream_errors = words.unwrap_or(log.upstream_errors);
    section.finish_own(reader);
}

fn read_limits(reader: &mut Reader<'_>, field: &Field<'_>, limits: &mut Limits) {
    let Some(mut section) = reader.section(field) else { return };
    for (key, bytes) in [
        ("max_body_bytes", &mut limits.max_body_bytes),
        ("max_header_bytes", &mut limits.max_header_bytes),
        ("max_reply_bytes", &mut limits.max_reply_bytes),
        ("max_stream_text_bytes", &mut limits.max_stream_text_bytes),
    ] {
        if let Some(field) = section.take(key) {
            match reader.integer::<usize>(&field) {
                Some(0) => reader.error(&field, "expected a size above 0, found 0"),
                Some(size) => *bytes = size,
                None => {}
            }
        }
    }
    if let Some(field) = section.take("max_plugin_libraries") {
        match reader.integer::<usize>(&field) {
            Some(0) => reader.error(&field, "expected a number above 0, found 0"),
            Some(most) => limits.max_plugin_libraries = most,
            None => {}
        }
    }
    if let Some(field) = section.take("max_connections") {
        match reader.integer::<usize>(&field) {
            Some(0) => reader.error(&field, "expected a number above 0, found 0"),
            most => limits.max_connections = most,
        }
    }
    if let Some(field) = section.take("max_inflight_bytes")
        && let Some(bytes) = reader.integer::<usize>(&field)
    {
        let largest = limits.max_body_bytes;
        if bytes < largest {
            let text = format!(
                "expected room for one request body at least, {largest} bytes \
                 (`max_body_bytes`), found {bytes}"
            );
            reader.error(&field, &text);
        }
        limits.max_inflight_bytes = Some(bytes);
    }
    for (key, timeout) in [
        ("header_timeout", &mut limits.header_timeout),
        ("keepalive_timeout", &mut limits.keepalive_timeout),
        ("body_timeout", &mut limits.body_timeout),
        ("write_timeout", &mut limits.write_timeout),
    ] {
        if let Some(duration) = section.take(key).and_then(|field| reader.duration(&field)) {
            *timeout = duration;
        }
    }
    let drain = section.take("drain_timeout");
    if let Some(duration) = drain.and_then(|field| reader.duration_or_zero(&field)) {
        limits.drain_timeout = duration;
    }
    section.finish_own(reader);
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use super::Probing;
    use crate::{Environment, UnknownKeys, parse};

    #[test]
    fn trusted_proxies_are_addresses_and_networks() {
        let file: Arc<Path> = Arc::from(Path::new("c.yaml"));
        let read = |list: &str| {
            let text = format!("callgate: {{trusted_proxies: {list}}}");
            parse(&file, &text, &Environment::default(), UnknownKeys::Refuse)
        };
        let read_ones = read("[10.0.0.0/8, 192.0.2.7, 'fd00::/8', '::1']").unwrap().gateway;
        let shown: Vec<_> = read_ones.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8", "::1/128"]);
        for wrong in ["[10.0.0.0/33]", "[nginx]", "10.0.0.1"] {
            let refused = read(wrong).unwrap_err().to_string();
            assert!(refused.contains("callgate.trusted_proxies"), "{wrong}: {refused}");
        }
    }

    #[test]
    fn how_plugins_are_loaded_has_defaults_and_is_checked() {
        let file: Arc<Path> = Arc::from(Path::new("dir/c.yaml"));
        let read = |text: &str| parse(&file, text, &Environment::default(), UnknownKeys::Refuse);
        let plain = read("model_list: []").unwrap().gateway;
        assert_eq!((plain.probe, plain.probe_timeout), (Probing::OnChange, Duration::from_secs(5)));
        assert_eq!((plain.cache_dir, plain.require_pins, plain.strict_owner), (None, false, None));
        let told = read(
            "callgate: {probe: always, probe_timeout: 1m, cache_dir: c, state_dir: s, require_pins: true, \
             verify_owner: strict}",
        );
        let told = told.unwrap().gateway;
        assert_eq!((told.probe, told.probe_timeout), (Probing::Always, Duration::from_secs(60)));
        assert_eq!(told.cache_dir.as_deref(), Some(Path::new("dir/c")));
        assert_eq!(told.state_dir.as_deref(), Some(Path::new("dir/s")));
        assert_eq!((told.require_pins, told.strict_owner), (true, Some(true)));
        let streams =
            read("callgate: {stream_keepalive: 15s, first_content_timeout: 2m}").unwrap().gateway;
        assert_eq!(streams.stream_keepalive, Some(Duration::from_secs(15)));
        assert_eq!(streams.first_content_timeout, Some(Duration::from_secs(120)));
        let wrong = read("callgate: {probe: sometimes, verify_owner: no}").unwrap_err().to_string();
        assert!(
            wrong.contains("expected one of `on_change`, `always`, `never`, found `sometimes`")
                && wrong.contains("callgate.verify_owner"),
            "{wrong}"
        );
    }
}
