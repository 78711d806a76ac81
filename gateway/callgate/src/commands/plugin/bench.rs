//! `plugin bench`: nanoseconds for each hook, called as the gateway calls it. Allocations by the
//! plugin's own allocator are not counted.

use super::{
    finished::{Finished, as_json},
    inspect::sentence,
    select,
};
use crate::cli::Bench;
use callgate_callbacks::{DryRun, PreparedHook};
use callgate_config::Environment;
use callgate_host::Services;
use callgate_plugin_host::{Hook, LoadGuard, Plugin, PluginInfo, SearchPath, load_all};
use callgate_telemetry::columns::table;
use http::HeaderMap;
use serde::Serialize;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Few enough to stay in the processor's cache, as a client's call does; enough that reading the
/// clock adds almost nothing.
const CALLS_A_BATCH: usize = 64;
const FEWEST_BATCHES: usize = 5;
const LONG: usize = 50_000;

#[derive(Serialize)]
struct Timings {
    callback: String,
    sha256: String,
    /// Whether this program is a debug build, whose own part of the times is large.
    debug_build: bool,
    timings: Vec<Timing>,
}

#[derive(Serialize)]
struct Timing {
    hook: &'static str,
    /// The bytes of the prompt, of the chunk's text, or of the reply.
    text_bytes: usize,
    min_ns: f64,
    median_ns: f64,
    batches: usize,
    /// The share of calls that continued, from 0 to 1.
    continued: f64,
    /// The share of calls that waited, from 0 to 1; they are timed until the wait.
    waited: f64,
}

pub(super) fn run(options: &Bench) -> Finished {
    let info = PluginInfo::of(&options.selection.file);
    if let Some(reason) = info.reasons.first() {
        return Finished::failed(&sentence(reason));
    }
    let entry = match select::entry(&info, &options.selection) {
        Ok(entry) => entry,
        Err(misuse) => return Finished::misused(&misuse),
    };
    let loaded = load_all(
        std::slice::from_ref(&entry),
        &SearchPath::default(),
        &Environment::default(),
        (&Arc::new(Services::idle()), &Arc::default()),
        &[],
        &mut LoadGuard::none(),
    );
    let plugin = match loaded.map(|loaded| loaded.into_made().into_iter().next()) {
        Ok(Some(plugin)) => plugin,
        Ok(None) => return Finished::failed(&"no instance was made"),
        Err(problems) => return Finished::failed(&problems),
    };
    match time_all(&plugin, Duration::from_secs_f64(options.time)) {
        Ok(timings) => {
            let debug_build = cfg!(debug_assertions);
            let (callback, sha256) = (entry.name, info.sha256);
            let timings = Timings { callback, sha256, debug_build, timings };
            Finished::ok(if options.json { as_json(&timings) } else { as_text(&timings) })
        }
        Err(error) => Finished::failed(&error),
    }
}

fn time_all(plugin: &Plugin, time: Duration) -> Result<Vec<Timing>, String> {
    let mut timings = Vec::new();
    for hook in Hook::ALL.into_iter().filter(|hook| plugin.hooks.iter().any(|it| it == hook.name()))
    {
        let sizes = match hook {
            Hook::Start | Hook::During | Hook::End => &[12, LONG][..],
            Hook::NewToken => &[12],
            Hook::Error | Hook::Auth | Hook::ListModels => &[0],
        };
        for &size in sizes {
            timings.push(time_hook(plugin, hook, size, time)?);
        }
    }
    Ok(timings)
}

fn time_hook(plugin: &Plugin, hook: Hook, size: usize, time: Duration) -> Result<Timing, String> {
    let text = "a".repeat(size);
    let reads_prompt = matches!(hook, Hook::Start | Hook::During);
    let prompt = if reads_prompt { &text } else { "Say hello" };
    let body = json!({"model": "bench", "messages": [{"role": "user", "content": prompt}]});
    let body = body.to_string().into_bytes();
    let deployments = select::deployments();
    let dry_run = DryRun::new(Vec::new(), deployments, HeaderMap::new(), body)
        .map_err(|error| error.to_string())?;
    let mut batches = Vec::new();
    let (mut continued, mut waited) = (0_u64, 0_u64);
    // A hook so slow that one batch would exceed the whole time.
    let single = Instant::now();
    let _ =
        dry_run.run_single(&plugin.instance, &mut dry_run.prepare(&plugin.instance, hook, &text));
    let is_slow = single.elapsed() * CALLS_A_BATCH as u32 > time / FEWEST_BATCHES as u32;
    let at_once = if is_slow { 1 } else { CALLS_A_BATCH };
    let begun = Instant::now();
    let warm = begun + time / 5;
    while begun.elapsed() < time || batches.len() < FEWEST_BATCHES {
        let mut calls: Vec<PreparedHook> =
            (0..at_once).map(|_| dry_run.prepare(&plugin.instance, hook, &text)).collect();
        let started = Instant::now();
        let (mut going_on, mut waiting) = (0, 0);
        for call in &mut calls {
            match dry_run.run_single(&plugin.instance, call) {
                Some(true) => going_on += 1,
                Some(false) => {}
                None => waiting += 1,
            }
        }
        let took = started.elapsed();
        if Instant::now() >= warm {
            batches.push(took.as_secs_f64() * 1e9 / at_once as f64);
            continued += going_on;
            waited += waiting;
        }
    }
    batches.sort_by(f64::total_cmp);
    let calls = (batches.len() * at_once) as f64;
    Ok(Timing {
        hook: hook.name(),
        text_bytes: size,
        min_ns: rounded(batches.first().copied().unwrap_or_default()),
        median_ns: rounded(batches.get(batches.len() / 2).copied().unwrap_or_default()),
        batches: batches.len(),
        continued: continued as f64 / calls,
        waited: waited as f64 / calls,
    })
}

fn rounded(nanoseconds: f64) -> f64 {
    (nanoseconds * 10.0).round() / 10.0
}

fn as_text(timings: &Timings) -> String {
    let row = |timing: &Timing| {
        let mut notes = Vec::new();
        let stopped = 1.0 - timing.continued - timing.waited;
        if stopped > 0.0 {
            notes.push(format!("{:.0} % did not go on", stopped * 100.0));
        }
        if timing.waited > 0.0 {
            notes.push(format!("{:.0} % waited, timed until then", timing.waited * 100.0));
        }
        [
            timing.hook.to_owned(),
            timing.text_bytes.to_string(),
            format!("{:.0}", timing.min_ns),
            format!("{:.0}", timing.median_ns),
            notes.join(", "),
        ]
    };
    let rows: Vec<_> = timings.timings.iter().map(row).collect();
    if rows.is_empty() {
        return format!("{} has no hooks\n", timings.callback);
    }
    let mut text = format!("{}\n\n", timings.callback);
    text.push_str(&table(["hook", "bytes", "min ns", "median ns", ""], &rows));
    if timings.debug_build {
        text.push_str("\nthis program is a debug build: its own part of these times is large\n");
    }
    text
}
