//! The outcome as people read it: the tables, then what changed and what to do about it.

use super::{
    Counted, KINDS, Outcome,
    verdict::{Change, Measure, Verdict},
};
use crate::{proxies::Kind, table::table};
use std::fmt::{self, Display, Formatter};

impl Display for Outcome {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let kinds = KINDS.map(Kind::title).join(", ");
        writeln!(formatter, "instructions per unit ({kinds}; ratios to the relay)")?;
        table(formatter, &self.rows(instructions))?;
        writeln!(formatter, "\nallocations per unit")?;
        table(formatter, &self.rows(|counted, _| format!("{:.2}", counted.cost.allocations)))?;
        writeln!(formatter)?;
        let Some(verdict) = &self.verdict else {
            return writeln!(formatter, "recorded in `{}`", self.record.display());
        };
        self.fmt_unrecorded(formatter, verdict)?;
        self.fmt_fallen(formatter, verdict)?;
        self.fmt_grown(formatter, verdict)?;
        self.fmt_origins(formatter, verdict)
    }
}

/// The count and, except for the relay, its ratio.
fn instructions(counted: &Counted, relay: Option<&Counted>) -> String {
    let own = counted.cost.instructions;
    let base = relay.filter(|relay| relay.kind != counted.kind && relay.cost.instructions > 0);
    base.map_or_else(
        || own.to_string(),
        |relay| format!("{own} ({:.2}×)", own as f64 / relay.cost.instructions as f64),
    )
}

impl Outcome {
    fn rows(&self, show: impl Fn(&Counted, Option<&Counted>) -> String) -> Vec<Vec<String>> {
        let mut head = vec!["workload".to_owned(), "unit".to_owned()];
        head.extend(KINDS.map(|kind| kind.title().to_owned()));
        let of_one_workload = self.counted.chunk_by(|one, next| one.workload == next.workload);
        let rows = of_one_workload.map(|cells| {
            let relay = cells.iter().find(|counted| counted.kind == Kind::Relay);
            let names = cells.iter().take(1).flat_map(|counted| [counted.workload, counted.unit]);
            let shown = cells.iter().map(|counted| show(counted, relay));
            names.map(str::to_owned).chain(shown).collect()
        });
        std::iter::once(head).chain(rows).collect()
    }

    fn fmt_unrecorded(&self, formatter: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
        if verdict.unrecorded.is_empty() {
            return Ok(());
        }
        let record = self.record.display();
        writeln!(formatter, "expected figures of these in `{record}`, found none:")?;
        for (workload, proxy) in &verdict.unrecorded {
            writeln!(formatter, "  {workload}, {proxy}")?;
        }
        writeln!(formatter, "record them: make budget BUDGET_ARGS=--record")
    }

    fn fmt_fallen(&self, formatter: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
        if verdict.fallen.is_empty() {
            return Ok(());
        }
        writeln!(formatter, "these fell by more than 2 %:")?;
        verdict.fallen.iter().try_for_each(|change| writeln!(formatter, "  {change}"))?;
        writeln!(formatter, "record them, or they may grow again: make budget BUDGET_ARGS=--record")
    }

    fn fmt_grown(&self, formatter: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
        if verdict.grown.is_empty() {
            if verdict.unrecorded.is_empty() {
                writeln!(formatter, "nothing grew by more than 2 %")?;
            }
            return Ok(());
        }
        writeln!(formatter, "these GREW by more than 2 %:")?;
        for change in &verdict.grown {
            let dump = change.dump.display();
            writeln!(formatter, "  {change}\n    callgrind_annotate --inclusive=yes {dump}")?;
        }
        writeln!(
            formatter,
            "A release has no names of functions: `make budget BUDGET_PROFILE=named` counts a build \
             that has.\nWhere the growth is wanted, record it and say why in the commit: \
             make budget BUDGET_ARGS=--record"
        )
    }

    /// Only if it may explain a change.
    fn fmt_origins(&self, formatter: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
        let Some(recorded) = &verdict.recorded_with else { return Ok(()) };
        let found = &self.origin;
        let pairs = [
            ("compiler", &recorded.compiler, &found.compiler),
            ("target", &recorded.target, &found.target),
            ("build", &recorded.build, &found.build),
            ("valgrind", &recorded.valgrind, &found.valgrind),
        ];
        for (name, recorded, found) in pairs {
            if recorded != found {
                writeln!(formatter, "note: {name}: recorded with `{recorded}`, now `{found}`")?;
            }
        }
        Ok(())
    }
}

impl Display for Change {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        let Self { workload, proxy, unit, recorded, found, .. } = self;
        match self.measure {
            Measure::Instructions => write!(
                formatter,
                "{workload}, {proxy}: from {recorded} to {found} instructions per {unit}"
            )?,
            Measure::Allocations => write!(
                formatter,
                "{workload}, {proxy}: from {recorded:.2} to {found:.2} allocations per {unit}"
            )?,
        }
        if *recorded > 0.0 {
            write!(formatter, " ({:+.1} %)", (found / recorded - 1.0) * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Cost, Origin, Record};

    fn counted(kind: Kind, instructions: u64) -> Counted {
        Counted {
            workload: "small body",
            unit: "request",
            kind,
            cost: Cost { instructions, allocations: 12.5 },
            dump: format!("target/budget/small-body.{}.callgrind", kind.file_stem()).into(),
        }
    }

    fn origin(compiler: &str) -> Origin {
        Origin { compiler: compiler.to_owned(), ..Origin::default() }
    }

    /// What is printed when the gateway's figure was `recorded` and is 40 000.
    fn printed(recorded: Option<u64>) -> String {
        let mut record = Record::default();
        let others = [counted(Kind::Relay, 16_000), counted(Kind::GatewayWithCallbacks, 48_000)];
        if let Some(recorded) = recorded {
            record.replace(&others, origin("rustc 1"));
            record.replace(&[counted(Kind::Gateway, recorded)], origin("rustc 1"));
        }
        let [relay, callbacks] = others;
        let counted = vec![relay, counted(Kind::Gateway, 40_000), callbacks];
        let verdict = Some(Verdict::of(&counted, &record));
        Outcome { counted, origin: origin("rustc 2"), verdict, record: "budget.json".into() }
            .to_string()
    }

    #[test]
    fn tables_have_a_column_for_each_proxy() {
        let text = printed(Some(40_000));
        let rows: Vec<Vec<_>> = text
            .lines()
            .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).collect())
            .collect();
        let trimmed =
            |row: &[&str]| row.iter().map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            trimmed(&rows[1]),
            ["workload", "unit", "bare relay", "gateway", "gateway + 2 callbacks"]
        );
        assert_eq!(
            trimmed(&rows[2]),
            ["small body", "request", "16000", "40000 (2.50×)", "48000 (3.00×)"]
        );
        assert_eq!(trimmed(&rows[6]), ["small body", "request", "12.50", "12.50", "12.50"]);
        assert!(text.contains("nothing grew"), "{text}");
    }

    #[test]
    fn growth_is_reported_with_a_way_to_investigate() {
        let text = printed(Some(32_000));
        for part in [
            "GREW",
            "small body, gateway: from 32000 to 40000 instructions per request (+25.0 %)",
            "callgrind_annotate --inclusive=yes target/budget/small-body.gateway.callgrind",
            "note: compiler: recorded with `rustc 1`, now `rustc 2`",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn what_fell_and_what_is_missing_come_with_the_advice_to_record() {
        let fell = printed(Some(50_000));
        assert!(fell.contains("from 50000 to 40000 instructions per request (-20.0 %)"), "{fell}");
        let missing = printed(None);
        assert!(missing.contains("expected figures of these in `budget.json`"), "{missing}");
        assert!(!missing.contains("nothing grew"), "{missing}");
        for text in [fell, missing] {
            assert!(text.contains("make budget BUDGET_ARGS=--record"), "{text}");
        }
    }
}
