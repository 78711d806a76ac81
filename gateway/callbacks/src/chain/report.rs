//! A report on the callbacks of a running gateway as plain data, for HTTP and metrics. Computed on
//! request.

use super::{
    breaker::State,
    link::{Link, LinkState},
    pool::THREADS,
    stats::Counted,
};
use crate::record::RecordReport;
use callgate_config::{Mode, Streams};
use callgate_host::{Clock, SystemClock};
use callgate_plugin_host::{Hook, LeftOut, PluginKind};
use callgate_telemetry::one_line;
use serde::Serialize;
use std::{collections::BTreeMap, sync::PoisonError};

/// One entry of the config's list.
#[derive(Clone, Debug, Serialize)]
pub struct CallbackReport {
    /// Its position in the list, from 1.
    pub position: usize,
    /// Its name in logs and faults.
    pub name: String,
    /// Whether its hooks run.
    pub status: Status,
    /// Why they do not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only for callbacks in the chain.
    #[serde(flatten)]
    pub live: Option<LiveReport>,
}

/// A callback in the chain.
#[derive(Clone, Debug, Serialize)]
pub struct LiveReport {
    /// The plugin's name, if the entry gives the callback another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The path that the operator configured.
    pub file: String,
    /// The version of the plugin's package.
    pub version: String,
    /// The ABI version it was built against.
    pub abi: String,
    /// The first 12 hex digits of the file's SHA-256.
    pub sha256: String,
    /// `sync` or `async`.
    pub kind: &'static str,
    /// `inline` or `blocking`.
    pub mode: &'static str,
    /// `fail`, `ignore` or `disable`.
    pub on_error: &'static str,
    /// `buffered`, if streams are collected for its end hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<&'static str>,
    /// The state of its breaker.
    pub breaker: BreakerState,
    /// The hooks that run, by name.
    pub hooks: BTreeMap<&'static str, HookReport>,
    /// The faults of all its hooks.
    pub faults: u64,
    /// The latest fault.
    pub last_fault: Option<LastFault>,
    /// Its record, if calls are recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordReport>,
    /// Its own threads, with `mode: blocking`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threads: Option<ThreadsReport>,
}

/// Whether a callback's hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// They run.
    Enabled,
    /// It is switched off after a fault, by `on_error: disable`.
    Disabled,
    /// It is not in the chain.
    LeftOut,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// All hooks run.
    Closed,
    /// No hook runs.
    Open,
    /// One call runs the hooks as a probe.
    HalfOpen,
    /// The callback has no breaker.
    None,
}

/// The figures of one hook since the start.
#[derive(Clone, Debug, Serialize)]
pub struct HookReport {
    /// The number of runs.
    pub calls: u64,
    /// The median duration in µs. Off by an eighth at most.
    pub p50_us: Option<f64>,
    /// The duration in µs that 99 of 100 runs did not exceed.
    pub p99_us: Option<f64>,
    /// Calls it rejected.
    pub rejections: u64,
    /// Calls it replied to.
    pub replies: u64,
    /// Runs with a fault, timeouts included.
    pub faults: u64,
    /// Runs that timed out.
    pub timeouts: u64,
    /// Sync runs over 1 ms.
    pub slow: u64,
    /// Calls it skipped: the callback is not for them, or its breaker was open.
    pub skipped: u64,
    /// Runs in shadow that would have changed something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow_edits: Option<u64>,
}

/// A fault.
#[derive(Clone, Debug, Serialize)]
pub struct LastFault {
    /// The hook.
    pub hook: &'static str,
    /// The callback's message, with secrets masked.
    pub message: String,
    /// The time, in ms since 1970.
    pub unix_ms: u64,
}

/// The threads of a callback.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ThreadsReport {
    /// Threads in a hook now.
    pub running: usize,
    /// Threads among them that have exceeded their limit.
    pub stuck: usize,
    /// The most threads there may be.
    pub limit: usize,
}

impl CallbackReport {
    /// Whether its hooks run.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status == Status::Enabled
    }

    /// Whether a hook of this name runs.
    #[must_use]
    pub fn has(&self, hook: &str) -> bool {
        self.live.as_ref().is_some_and(|live| live.hooks.contains_key(hook))
    }
}

/// The callbacks of the chain and the entries that were left out, in list order.
pub(super) fn report(links: &[Link], left_out: &[LeftOut]) -> Vec<CallbackReport> {
    let mut all: Vec<_> = links.iter().map(live).chain(left_out.iter().map(absent)).collect();
    all.sort_by_key(|report| report.position);
    all
}

fn absent(left_out: &LeftOut) -> CallbackReport {
    CallbackReport {
        position: left_out.position + 1,
        name: left_out.name.clone(),
        status: Status::LeftOut,
        reason: Some(left_out.reason.clone()),
        live: None,
    }
}

fn live(link: &Link) -> CallbackReport {
    let LinkState { recipe, breaker, last_fault, pool, .. } = &*link.slot;
    let (entry, state) = (&recipe.entry, breaker.state(SystemClock.monotonic_ns()));
    let hooks: BTreeMap<_, _> = Hook::ALL
        .into_iter()
        .filter(|hook| link.has(*hook))
        .map(|hook| (hook.name(), hook_report(link, hook)))
        .collect();
    let off = state == State::Off;
    let last_fault = last_fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let live = LiveReport {
        plugin: (*recipe.name != *entry.name).then(|| entry.name.clone()),
        file: recipe.file.display().to_string(),
        version: recipe.version.clone(),
        abi: recipe.api.to_string(),
        sha256: recipe.sha256_prefix(),
        kind: match recipe.kind {
            PluginKind::Sync => "sync",
            PluginKind::Async => "async",
        },
        // The mode of an async callback means nothing: its hooks are futures.
        mode: match entry.mode {
            Mode::Shadow => Mode::Shadow,
            _ if pool.is_some() => Mode::Blocking,
            _ => Mode::Inline,
        }
        .name(),
        on_error: entry.on_error.name(),
        streams: link.buffers_streams().then(|| Streams::Buffered.name()),
        breaker: match state {
            _ if entry.breaker.is_none() => BreakerState::None,
            State::Closed => BreakerState::Closed,
            State::Open | State::Off => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        },
        faults: hooks.values().map(|hook| hook.faults).sum(),
        hooks,
        last_fault: last_fault.map(|seen| LastFault {
            hook: seen.hook.name(),
            message: shown(&seen.message),
            unix_ms: seen.unix_ms,
        }),
        record: link.recorder().and_then(|recorder| recorder.report()),
        threads: pool.as_ref().map(|pool| {
            let threads = pool.threads();
            ThreadsReport { running: threads.running, stuck: threads.stuck, limit: THREADS }
        }),
    };
    CallbackReport {
        position: link.position + 1,
        name: recipe.name.to_string(),
        status: if off { Status::Disabled } else { Status::Enabled },
        reason: off.then(|| "it failed once, under `on_error: disable`".to_owned()),
        live: Some(live),
    }
}

fn shown(message: &str) -> String {
    const ENOUGH: usize = 1000;
    one_line(&message[..message.floor_char_boundary(ENOUGH)]).to_string()
}

fn hook_report(link: &Link, hook: Hook) -> HookReport {
    let totals = link.stats().totals(hook);
    HookReport {
        calls: totals.calls(),
        p50_us: totals.percentile_us(0.5),
        p99_us: totals.percentile_us(0.99),
        rejections: totals.of(Counted::Rejection),
        replies: totals.of(Counted::Reply),
        faults: totals.of(Counted::Fault),
        timeouts: totals.of(Counted::Timeout),
        slow: totals.of(Counted::Slow),
        skipped: totals.of(Counted::Skipped),
        shadow_edits: link.is_shadow().then(|| totals.of(Counted::ShadowEdit)),
    }
}
