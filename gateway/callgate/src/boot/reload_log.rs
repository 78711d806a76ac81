//! The log lines of reloads.

use super::check::counts;
use callgate_config::Problems;
use callgate_plugin_host::mapped_libraries;
use callgate_server::{ReloadReport, Reloads};
use callgate_telemetry::counted::{counted, counted_as};

/// More lines of changes are counted and not logged.
const MAX_LINES: usize = 50;

/// A config that has taken effect. The callbacks' own warnings are in the log already.
pub(super) fn applied(report: &ReloadReport, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(target: "callgate::boot", "{warning}");
    }
    for change in report.changes.iter().take(MAX_LINES) {
        tracing::info!(target: "callgate::boot::reload", "changed: {change}");
    }
    if let Some(more) = report.changes.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        tracing::info!(target: "callgate::boot::reload", "{more} more changed");
    }
    for change in &report.needs_restart {
        tracing::warn!(target: "callgate::boot::reload", "{change}");
    }
    tracing::info!(
        target: "callgate::boot::reload",
        generation = report.generation,
        "reloaded: {}",
        counted(report.changes.len(), "change")
    );
}

/// A config that was refused.
pub(super) fn refused(Problems(problems): &Problems, generation: u64) {
    for problem in problems {
        if problem.is_error() {
            tracing::error!(target: "callgate::boot", "{problem}");
        } else {
            tracing::warn!(target: "callgate::boot", "{problem}");
        }
    }
    let (errors, warnings) = counts(problems);
    tracing::error!(
        target: "callgate::boot::reload", { generation },
        "not reloaded: {errors} and {warnings}; the gateway still serves config {generation}"
    );
}

/// A reload that takes long.
pub(super) fn late(reloads: &Reloads) {
    let Some(running) = reloads.running() else { return };
    tracing::error!(
        target: "callgate::boot::reload",
        "the reload has taken {:.0} s: {}; calls go on with the config that serves, and other \
         reloads wait",
        running.since.elapsed().as_secs_f64(),
        running.doing()
    );
}

/// Each replaced plugin file stays mapped until the process ends.
pub(super) fn mapped(most: usize) {
    let mapped = mapped_libraries();
    if mapped * 5 > most * 4 {
        tracing::warn!(
            target: "callgate::boot::reload", { mapped, most },
            "{} mapped, of at most {most} (`callgate.limits.max_plugin_libraries`): restart the \
             gateway, which unmaps those of earlier versions",
            counted_as(mapped, "plugin file is", "plugin files are")
        );
    }
}
