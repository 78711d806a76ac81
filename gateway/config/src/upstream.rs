//! `callgate.upstream`: how long connections to upstreams are kept.

use super::reader::{Field, Reader};
use std::time::Duration;

/// How long connections to upstreams are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// How long a connection may be idle; `None`: 4 s for `http://`, where servers that close after
    /// 5 s are common, and 50 s for `https://`, where a new connection costs a handshake.
    pub idle_timeout: Option<Duration>,
    /// The age at which a connection is closed, so that changes in DNS take effect (5 min).
    pub max_age: Duration,
    /// The most idle connections that each worker thread keeps for one host (128).
    pub max_idle: usize,
}

impl Default for Reuse {
    fn default() -> Self {
        Self { idle_timeout: None, max_age: Duration::from_secs(300), max_idle: 128 }
    }
}

pub(super) fn read(reader: &mut Reader<'_>, field: &Field<'_>, reuse: &mut Reuse) {
    let Some(mut section) = reader.section(field) else { return };
    let idle = section.take("idle_timeout");
    if let Some(duration) = idle.and_then(|field| reader.duration_or_zero(&field)) {
        reuse.idle_timeout = Some(duration);
    }
    let age = section.take("max_age");
    if let Some(duration) = age.and_then(|field| reader.duration(&field)) {
        reuse.max_age = duration;
    }
    let most = section.take("max_idle");
    if let Some(count) = most.and_then(|field| reader.integer::<usize>(&field)) {
        reuse.max_idle = count;
    }
    section.finish_own(reader);
}
