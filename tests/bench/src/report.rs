//! Turns samples into the report: medians, ratios to the yardstick, figures met or missed. Pure;
//! `report/text.rs` has the tables' layout, and the JSON form is this struct.

#[cfg(test)]
mod tests;
mod text;

use crate::{
    hooks::HookTiming,
    measure::{Row, Sample},
    proxies::{Kind, Proxy},
    startup::Startup,
};
use serde::Serialize;

const MIB: f64 = 1024.0 * 1024.0;
const MAX_START_MS: f64 = 100.0;
const MAX_IDLE_MIB: f64 = 15.0;
const MAX_LOADED_MIB: f64 = 25.0;
const MAX_BINARY_MIB: f64 = 15.0;

/// The results of one invocation.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub rounds: u32,
    /// The base of ratios: nginx, or the bare relay if nginx is not installed.
    pub yardstick: &'static str,
    pub lines: Vec<Line>,
    pub memory: Vec<Memory>,
    pub hooks: Vec<HookTiming>,
    pub startup: Option<Startup>,
    /// Empty if nothing is judged.
    pub figures: Vec<Figure>,
}

/// One workload.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    pub workload: &'static str,
    pub unit: &'static str,
    pub cells: Vec<Cell>,
}

/// One workload through one proxy: medians over the rounds, and the samples themselves.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    pub proxy: &'static str,
    pub cpu_us: f64,
    /// Relative to the yardstick: the median of the rounds' ratios.
    pub cpu_ratio: f64,
    pub per_second: f64,
    pub samples: Vec<Sample>,
}

/// Resident memory of one proxy, in MiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    pub proxy: &'static str,
    pub idle_mib: f64,
    /// The highest found right after a run.
    pub loaded_mib: f64,
}

/// A promised figure, and the measured one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    pub found: f64,
    pub limit: f64,
    pub unit: &'static str,
    pub met: bool,
}

/// What the driver hands over once the rounds are done.
#[derive(Debug, Default)]
pub struct Findings<'a> {
    pub rounds: u32,
    pub kinds: &'a [Kind],
    pub rows: &'a [Row],
    pub memory: Vec<Memory>,
    pub hooks: Vec<HookTiming>,
    pub startup: Option<Startup>,
    /// Whether to compare the figures with the limits.
    pub judged: bool,
}

impl Memory {
    /// Takes the idle figure from the start of `proxy`, the loaded one from its samples.
    #[must_use]
    pub fn of(proxy: &Proxy, rows: &[Row], column: usize) -> Self {
        let samples = rows.iter().flat_map(|row| &row.samples[column]);
        let loaded = samples.map(|sample| sample.resident_bytes).max().unwrap_or_default();
        Self {
            proxy: proxy.kind.title(),
            idle_mib: mib(proxy.idle.resident_bytes),
            loaded_mib: mib(loaded),
        }
    }
}

impl Report {
    /// Computes medians, ratios and, if requested, judgements.
    #[must_use]
    pub fn new(findings: Findings<'_>) -> Self {
        let kinds = findings.kinds;
        let yardstick = kinds.iter().position(|kind| *kind == Kind::Nginx).unwrap_or(0);
        let lines: Vec<_> = findings.rows.iter().map(|row| line(row, kinds, yardstick)).collect();
        let mut report = Self {
            rounds: findings.rounds,
            yardstick: kinds.get(yardstick).map_or("", |kind| kind.title()),
            lines,
            memory: findings.memory,
            hooks: findings.hooks,
            startup: findings.startup,
            figures: Vec::new(),
        };
        if findings.judged {
            report.judge(findings.rows);
        }
        report
    }

    /// True unless a figure was judged and missed.
    #[must_use]
    pub fn met(&self) -> bool {
        self.figures.iter().all(|figure| figure.met)
    }

    fn judge(&mut self, rows: &[Row]) {
        let judged = Kind::GatewayWithCallbacks.title();
        let mut figures = Vec::new();
        if self.yardstick == Kind::Nginx.title() {
            for (row, line) in rows.iter().zip(&self.lines) {
                let cell = line.cells.iter().find(|cell| cell.proxy == judged);
                if let (Some(cell), Some(limit)) = (cell, row.workload.figure) {
                    let name = format!("CPU per {}, {}", line.unit, line.workload);
                    figures.push(figure(name, cell.cpu_ratio, limit, "× nginx"));
                }
            }
        }
        if let Some(memory) = self.memory.iter().find(|memory| memory.proxy == judged) {
            figures.push(figure("memory, idle".into(), memory.idle_mib, MAX_IDLE_MIB, "MiB"));
            figures.push(figure("memory, loaded".into(), memory.loaded_mib, MAX_LOADED_MIB, "MiB"));
        }
        if let Some(startup) = self.startup {
            if let Some(start_ms) = startup.start_ms {
                figures.push(figure("start to listening".into(), start_ms, MAX_START_MS, "ms"));
            }
            let size = mib(startup.binary_bytes);
            figures.push(figure("binary".into(), size, MAX_BINARY_MIB, "MiB"));
        }
        for hook in &self.hooks {
            if let Some(limit) = hook.limit_ns {
                figures.push(figure(format!("hook: {}", hook.name), hook.median_ns, limit, "ns"));
            }
        }
        self.figures = figures;
    }
}

/// The middle value, or the mean of the two in the middle; none of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    let even = sorted.len().is_multiple_of(2);
    Some(if even { f64::midpoint(sorted[middle - 1], upper) } else { upper })
}

fn line(row: &Row, kinds: &[Kind], yardstick: usize) -> Line {
    let base = row.samples.get(yardstick).map_or(&[][..], Vec::as_slice);
    let cells = kinds.iter().zip(&row.samples).map(|(kind, samples)| Cell {
        proxy: kind.title(),
        cpu_us: median_of(samples, |sample| sample.cpu_us),
        cpu_ratio: paired_ratio(samples, base),
        per_second: median_of(samples, |sample| sample.per_second),
        samples: samples.clone(),
    });
    Line { workload: row.workload.name, unit: row.workload.unit(), cells: cells.collect() }
}

/// The median of the rounds' own ratios: what slows the machine down for a while slows both sides
/// of a round, so this is steadier than the ratio of two medians.
fn paired_ratio(samples: &[Sample], base: &[Sample]) -> f64 {
    let ratios: Vec<_> =
        samples.iter().zip(base).map(|(own, base)| own.cpu_us / base.cpu_us).collect();
    median(&ratios).unwrap_or(f64::NAN)
}

fn median_of(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    median(&samples.iter().map(value).collect::<Vec<_>>()).unwrap_or(f64::NAN)
}

fn figure(name: String, found: f64, limit: f64, unit: &'static str) -> Figure {
    Figure { name, found, limit, unit, met: found <= limit }
}

fn mib(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) * 1024.0 / MIB
}
