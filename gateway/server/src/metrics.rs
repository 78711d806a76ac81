//! `GET /metrics`: the gateway's figures and the callbacks', in Prometheus's text format.

use crate::app::App;
use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use callgate_callbacks::{BreakerState, CallbackReport, LiveReport};
use callgate_plugin_host::mapped_libraries;
use callgate_telemetry::metrics::{Exposition, process};

const TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// All metric families.
pub(super) fn all(app: &App) -> Response {
    let mut text = Exposition::default();
    write_build(&mut text);
    app.metrics.write(&mut text);
    app.occupancy.write(&mut text);
    app.reloads.write(&mut text);
    write_callbacks(&app.callbacks_report(), &mut text);
    app.services.write_metrics(&mut text);
    process::write(&mut text);
    let mut response = Response::new(Body::from(text.finish()));
    response.headers_mut().insert(header::CONTENT_TYPE, TYPE);
    response
}

/// The version of this gateway, and the lost log lines.
fn write_build(text: &mut Exposition) {
    let name = "callgate_build_info";
    text.family(name, "gauge", "1, with the version of the gateway and of its plugin ABI.");
    let abi = plugin_api::abi::ApiVersion::CURRENT.to_string();
    text.sample(name, &[("version", env!("CARGO_PKG_VERSION")), ("abi", &abi)], 1.0);
    let name = "callgate_log_lines_dropped_total";
    text.family(name, "counter", "Log lines dropped because they were not read in time.");
    text.sample(name, &[], callgate_telemetry::dropped() as f64);
}

/// The records of entries that record calls.
fn write_records<'a, I: Iterator<Item = (&'a str, &'a LiveReport)>>(
    live: impl Fn() -> I,
    text: &mut Exposition,
) {
    let records = || live().filter_map(|(callback, live)| Some((callback, live.record.as_ref()?)));
    if records().next().is_none() {
        return;
    }
    let name = "callgate_callback_records_total";
    text.family(name, "counter", "Calls that were recorded, or could not be.");
    for (callback, it) in records() {
        for (outcome, count) in
            [("written", it.written), ("dropped", it.dropped), ("failed", it.failed)]
        {
            let labels = [("callback", callback), ("outcome", outcome)];
            text.sample(name, &labels, count as f64);
        }
    }
}

/// The callbacks' hooks and states. Entries that do not run have no samples of hooks.
fn write_callbacks(reports: &[CallbackReport], text: &mut Exposition) {
    let live = || reports.iter().filter_map(|report| Some((&*report.name, report.live.as_ref()?)));
    let hooks = || {
        live().flat_map(|(name, live)| live.hooks.iter().map(move |(hook, it)| (name, *hook, it)))
    };
    if reports.is_empty() {
        return;
    }
    let name = "callgate_callback_up";
    text.family(name, "gauge", "1 for a callback that runs, 0 for one that was left out.");
    for report in reports {
        let up = f64::from(u8::from(report.live.is_some()));
        text.sample(name, &[("callback", &*report.name)], up);
    }
    if live().next().is_none() {
        return;
    }
    let name = "callgate_callback_hook_runs_total";
    text.family(name, "counter", "Hooks that ran.");
    for (callback, hook, it) in hooks() {
        text.sample(name, &[("callback", callback), ("hook", hook)], it.calls as f64);
    }
    let name = "callgate_callback_hook_outcomes_total";
    text.family(name, "counter", "Runs that did not return `continue`, and skipped runs.");
    for (callback, hook, it) in hooks() {
        for (outcome, count) in [
            ("rejection", it.rejections),
            ("reply", it.replies),
            ("fault", it.faults),
            ("timeout", it.timeouts),
            ("slow", it.slow),
            ("skipped", it.skipped),
        ] {
            let labels = [("callback", callback), ("hook", hook), ("outcome", outcome)];
            text.sample(name, &labels, count as f64);
        }
    }
    let name = "callgate_callback_hook_duration_seconds";
    text.family(name, "summary", "Duration of a hook since the start; off by an eighth at most.");
    for (callback, hook, it) in hooks() {
        for (quantile, time) in [("0.5", it.p50_us), ("0.99", it.p99_us)] {
            let labels = [("callback", callback), ("hook", hook), ("quantile", quantile)];
            text.sample(name, &labels, time.map_or(f64::NAN, |time| time / 1e6));
        }
    }
    let name = "callgate_callback_breaker_open";
    text.family(name, "gauge", "1 while a callback's breaker is open or it is switched off.");
    for (callback, live) in live() {
        let open = live.breaker == BreakerState::Open;
        text.sample(name, &[("callback", callback)], f64::from(u8::from(open)));
    }
    let name = "callgate_callback_stuck_threads";
    text.family(name, "gauge", "Threads of a callback that have exceeded their time limit.");
    for (callback, live) in live() {
        let stuck = live.threads.map_or(0, |threads| threads.stuck);
        text.sample(name, &[("callback", callback)], stuck as f64);
    }
    write_records(live, text);
    let name = "callgate_plugin_libraries";
    text.family(name, "gauge", "Plugin files that are mapped; they stay until the process ends.");
    text.sample(name, &[], mapped_libraries() as f64);
}
