//! The targets: the properties of any input. Each panics if one is violated.

mod answers;
mod bounds;
mod connecting;
mod decoding;
mod edits;
mod events;
mod files;
mod forms;
mod ingress;
mod json;
mod log_line;
mod pieces;
mod plugin;
mod request_head;
mod streams;

/// One parser, or several that read the same format.
#[derive(Debug)]
pub struct Target {
    /// Its name, which is also the name of its folder of inputs.
    pub name: &'static str,
    /// Panics if a property of this input is violated.
    pub check: fn(&[u8]),
    /// The building blocks of inputs.
    pub tokens: &'static [&'static [u8]],
    /// The longest mutation; longer ones are cut.
    pub largest: usize,
    /// Inputs from other places in the repository.
    more: fn() -> Vec<(String, Vec<u8>)>,
}

impl Target {
    const fn new(name: &'static str, check: fn(&[u8]), tokens: &'static [&'static [u8]]) -> Self {
        Self { name, check, tokens, largest: 4096, more: Vec::new }
    }

    const fn up_to(mut self, largest: usize) -> Self {
        self.largest = largest;
        self
    }

    /// The inputs from other places than its folder.
    #[must_use]
    pub fn seeds(&self) -> Vec<(String, Vec<u8>)> {
        (self.more)()
    }
}

/// All of them.
pub static TARGETS: [Target; 20] = [
    Target::new("json_scan", json::scan, json::TOKENS),
    Target::new("json_splice", json::splice, json::TOKENS),
    Target::new("edits", edits::check, edits::TOKENS),
    Target::new("answer", answers::head_and_body, answers::TOKENS).up_to(80 * 1024),
    Target::new("decoding", decoding::check, decoding::TOKENS).up_to(32 * 1024),
    Target::new("sse", streams::sse, streams::TOKENS),
    Target::new("ndjson", streams::ndjson, streams::TOKENS),
    Target::new("reply", streams::reply, streams::TOKENS),
    Target::new("upstream_error", streams::error, streams::TOKENS),
    plugin::FILE,
    Target::new("settings", plugin::settings, plugin::TOKENS),
    Target::new("config", files::config, files::CONFIG_TOKENS),
    Target::new("dotenv", files::dotenv, files::DOTENV_TOKENS),
    Target::new("certificates", connecting::pem, connecting::CERTIFICATE_TOKENS),
    Target::new("proxy", connecting::proxy, connecting::PROXY_TOKENS),
    Target::new("request_head", request_head::check, request_head::TOKENS),
    Target::new("log_line", log_line::check, log_line::TOKENS),
    Target::new("form", forms::check, forms::TOKENS),
    Target::new("events", events::check, events::TOKENS),
    Target::new("ingress", ingress::check, ingress::TOKENS),
];
