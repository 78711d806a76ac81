//! The report as people read it: plain text tables, columns aligned.

use super::{Cell, Report, mib};
use crate::{proxies::Kind, table::table};
use std::fmt::{self, Display, Formatter};

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        self.fmt_proxies(formatter)?;
        self.fmt_hooks(formatter)?;
        self.fmt_startup(formatter)?;
        self.fmt_figures(formatter)
    }
}

impl Report {
    /// Nothing when no proxy ran.
    fn fmt_proxies(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { rounds, yardstick, .. } = self;
        if yardstick.is_empty() {
            return Ok(());
        }
        if *yardstick != Kind::Nginx.title() {
            writeln!(formatter, "nginx is not installed: ratios are not judged\n")?;
        }
        writeln!(
            formatter,
            "CPU of the proxy, µs per unit (ratio to {yardstick}); medians of {rounds}"
        )?;
        table(
            formatter,
            &self.by_proxy(|cell| format!("{:.1} ({:.2}×)", cell.cpu_us, cell.cpu_ratio)),
        )?;
        writeln!(formatter, "\nunits per second, one core; load and upstream may be the limit")?;
        table(formatter, &self.by_proxy(|cell| format!("{:.0}", cell.per_second)))?;
        writeln!(formatter, "\nresident memory, MiB")?;
        table(formatter, &self.memory_rows())
    }

    fn by_proxy(&self, show: impl Fn(&Cell) -> String) -> Vec<Vec<String>> {
        let mut rows = vec![vec!["workload".to_owned(), "unit".to_owned()]];
        if let Some(line) = self.lines.first() {
            rows[0].extend(line.cells.iter().map(|cell| cell.proxy.to_owned()));
        }
        rows.extend(self.lines.iter().map(|line| {
            let names = [line.workload.to_owned(), line.unit.to_owned()];
            names.into_iter().chain(line.cells.iter().map(&show)).collect()
        }));
        rows
    }

    fn memory_rows(&self) -> Vec<Vec<String>> {
        let head = ["proxy", "idle", "loaded"].map(str::to_owned).to_vec();
        let rows = self.memory.iter().map(|memory| {
            let (idle, loaded) = (memory.idle_mib, memory.loaded_mib);
            vec![memory.proxy.to_owned(), format!("{idle:.1}"), format!("{loaded:.1}")]
        });
        std::iter::once(head).chain(rows).collect()
    }

    fn fmt_hooks(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.hooks.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "\nns per call of on_llm_start, the plugins as built for release")?;
        let head = ["hook", "min", "median"].map(str::to_owned).to_vec();
        let rows = self.hooks.iter().map(|hook| {
            let (min, median) = (hook.min_ns, hook.median_ns);
            vec![hook.name.clone(), format!("{min:.1}"), format!("{median:.1}")]
        });
        table(formatter, &std::iter::once(head).chain(rows).collect::<Vec<_>>())
    }

    fn fmt_startup(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Some(startup) = self.startup else { return Ok(()) };
        write!(formatter, "\ngateway binary {:.1} MiB", mib(startup.binary_bytes))?;
        match startup.start_ms {
            Some(start_ms) => writeln!(formatter, ", start to listening {start_ms:.1} ms"),
            None => {
                writeln!(formatter, "; start not measured: no configuration file given or found")
            }
        }
    }

    fn fmt_figures(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        if self.figures.is_empty() {
            return Ok(());
        }
        writeln!(
            formatter,
            "\nfigures; the gateway had authentication, both callbacks and the access log on"
        )?;
        let head = ["figure", "found", "limit", ""].map(str::to_owned).to_vec();
        let rows = self.figures.iter().map(|figure| {
            let (found, limit, unit) = (figure.found, figure.limit, figure.unit);
            let verdict = if figure.met { "met" } else { "MISSED" };
            let texts = [format!("{found:.2}"), format!("≤ {limit:.2} {unit}"), verdict.to_owned()];
            std::iter::once(figure.name.clone()).chain(texts).collect()
        });
        table(formatter, &std::iter::once(head).chain(rows).collect::<Vec<_>>())
    }
}
