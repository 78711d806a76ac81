//! `RUST_LOG`: which lines are written. A faulty filter is reported, because it would hide all
//! lines.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The first segments of all log targets.
const TARGETS: [&str; 9] = [
    "callgate",
    "callgate_plugin",
    "hyper",
    "hyper_util",
    "mio",
    "rustls",
    "tokio",
    "tracing",
    "want",
];

/// The filter, and the first faulty part; with a faulty part, `info` is used.
pub(super) fn read(wanted: Option<&str>) -> (Targets, Option<String>) {
    let info = || Targets::new().with_default(LevelFilter::INFO);
    let Some(wanted) = wanted.filter(|wanted| !wanted.trim().is_empty()) else {
        return (info(), None);
    };
    let parts = || wanted.split(',').map(str::trim).filter(|part| !part.is_empty());
    if let Some(part) = parts().find(|part| !is_directive(part)) {
        return (info(), Some(part.chars().take(100).collect()));
    }
    let joined = parts().collect::<Vec<_>>().join(",");
    match joined.parse() {
        Ok(filter) => (filter, None),
        Err(_) => (info(), Some(joined.chars().take(100).collect())),
    }
}

/// Whether it is a level, a target, or both. A single word must be a known target, because it may
/// be a misspelt level.
fn is_directive(part: &str) -> bool {
    match part.split_once('=') {
        Some((target, level)) => !target.trim().is_empty() && level.parse::<LevelFilter>().is_ok(),
        None => {
            let first = part.split("::").next().unwrap_or_default();
            part.parse::<LevelFilter>().is_ok() || TARGETS.contains(&first)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn nonsense_is_named_and_leaves_no_line_out() {
        for (wanted, misread) in [
            ("", None),
            ("debug", None),
            ("WARN", None),
            ("warn,callgate::access=info", None),
            ("hyper=trace,", None),
            ("callgate::access", None),
            ("nonsense,,=x", Some("nonsense")),
            ("info,=x", Some("=x")),
            ("callgate=loud", Some("callgate=loud")),
            ("inof", Some("inof")),
        ] {
            let (filter, found) = read(Some(wanted));
            assert_eq!(found.as_deref(), misread, "{wanted}");
            let info = filter.would_enable("callgate::boot", &tracing::Level::INFO);
            assert!(misread.is_none() || info, "{wanted}");
        }
    }
}
