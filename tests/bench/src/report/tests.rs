//! Ratios pair the rounds, and a missed figure is a missed figure.

use super::*;
use crate::workload::workloads;

fn sample(cpu_us: f64) -> Sample {
    Sample { cpu_us, per_second: 1e6 / cpu_us, resident_bytes: 12 << 20 }
}

/// The small-body row with the given CPU times per proxy and round.
fn report(kinds: &[Kind], times: &[&[f64]], judged: bool) -> Report {
    let samples = times.iter().map(|times| times.iter().copied().map(sample).collect()).collect();
    let rows = [Row { workload: workloads(true).remove(0), samples }];
    let memory =
        Memory { proxy: Kind::GatewayWithCallbacks.title(), idle_mib: 9.0, loaded_mib: 26.0 };
    Report::new(Findings {
        rounds: 3,
        kinds,
        rows: &rows,
        memory: vec![memory],
        hooks: Vec::new(),
        startup: Some(Startup { start_ms: Some(40.0), binary_bytes: 9 << 20 }),
        judged,
    })
}

#[test]
fn medians() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
}

#[test]
fn ratios_are_to_nginx_and_figures_are_judged_by_them() {
    let kinds = [Kind::Nginx, Kind::GatewayWithCallbacks];
    let report = report(&kinds, &[&[40.0, 80.0, 38.0], &[50.0, 104.0, 19.0]], true);
    assert!((report.lines[0].cells[1].cpu_ratio - 1.25).abs() < 1e-9);
    let met: Vec<_> =
        report.figures.iter().map(|figure| (figure.name.as_str(), figure.met)).collect();
    assert_eq!(
        met,
        [
            ("CPU per request, small body", true),
            ("memory, idle", true),
            ("memory, loaded", false),
            ("start to listening", true),
            ("binary", true),
        ]
    );
    assert!(!report.met());
    let text = report.to_string();
    assert!(text.contains("50.0 (1.25×)") && text.contains("MISSED"), "{text}");
}

#[test]
fn without_nginx_ratios_are_to_the_relay_and_not_judged() {
    let kinds = [Kind::Relay, Kind::GatewayWithCallbacks];
    let report = report(&kinds, &[&[10.0], &[50.0]], true);
    assert_eq!(report.yardstick, "bare relay");
    assert!(report.to_string().starts_with("nginx is not installed"));
    assert!(report.figures.iter().all(|figure| !figure.name.starts_with("CPU")));
}

#[test]
fn nothing_is_judged_unasked() {
    let report = report(&[Kind::Nginx, Kind::GatewayWithCallbacks], &[&[1.0], &[9.0]], false);
    assert!(report.figures.is_empty() && report.met());
}

#[test]
fn hooks_are_judged_by_their_medians_and_the_report_needs_no_proxies() {
    let hook = |name: &str, median_ns, limit_ns| HookTiming {
        name: name.to_owned(),
        min_ns: 1.0,
        median_ns,
        limit_ns,
    };
    let hooks = vec![hook("a", 9.0, Some(9.0)), hook("b", 9.5, Some(9.0)), hook("c", 9.0, None)];
    let report = Report::new(Findings { hooks, judged: true, ..Findings::default() });
    let met: Vec<_> =
        report.figures.iter().map(|figure| (figure.name.as_str(), figure.met)).collect();
    assert_eq!(met, [("hook: a", true), ("hook: b", false)]);
    let text = report.to_string();
    assert!(!text.contains("nginx") && text.contains("1.0     9.5"), "{text}");
}
