//! Compares the counts with the record. Pure.

use super::{
    count::Counted,
    record::{Origin, Record},
};
use std::path::PathBuf;

/// The relative tolerance: hash seeds and batches of log lines vary.
const TOLERANCE: f64 = 0.02;
/// The absolute tolerance, for about one allocation or none, where the relative one would be too
/// small.
const ALLOCATION_SLACK: f64 = 0.1;

/// The part of a cost that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Instructions,
    Allocations,
}

/// One figure that differs from the record.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub workload: &'static str,
    pub proxy: &'static str,
    pub unit: &'static str,
    pub measure: Measure,
    pub recorded: f64,
    pub found: f64,
    pub dump: PathBuf,
}

/// All differences beyond the tolerance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    pub grown: Vec<Change>,
    pub fallen: Vec<Change>,
    /// The workload and proxy of figures without a record.
    pub unrecorded: Vec<(&'static str, &'static str)>,
    pub recorded_with: Option<Origin>,
}

impl Verdict {
    /// Compares figure by figure.
    #[must_use]
    pub fn of(counted: &[Counted], record: &Record) -> Self {
        let mut verdict = Self { recorded_with: record.counted_with.clone(), ..Self::default() };
        for counted in counted {
            let Some(recorded) = record.cost(counted) else {
                verdict.unrecorded.push((counted.workload, counted.kind.title()));
                continue;
            };
            let instructions = [recorded.instructions, counted.cost.instructions].map(approximate);
            verdict.add(counted, Measure::Instructions, instructions);
            let allocations = [recorded.allocations, counted.cost.allocations];
            verdict.add(counted, Measure::Allocations, allocations);
        }
        verdict
    }

    fn add(&mut self, counted: &Counted, measure: Measure, [recorded, found]: [f64; 2]) {
        let slack = match measure {
            Measure::Instructions => 0.0,
            Measure::Allocations => ALLOCATION_SLACK,
        };
        if (found - recorded).abs() <= (recorded * TOLERANCE).max(slack) {
            return;
        }
        let side = if found > recorded { &mut self.grown } else { &mut self.fallen };
        side.push(Change {
            workload: counted.workload,
            proxy: counted.kind.title(),
            unit: counted.unit,
            measure,
            recorded,
            found,
            dump: counted.dump.clone(),
        });
    }
}

/// Exact below four thousand million instructions for one call.
fn approximate(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{budget::Cost, proxies::Kind};

    fn counted(instructions: u64, allocations: f64) -> Counted {
        Counted {
            workload: "small body",
            unit: "request",
            kind: Kind::Gateway,
            cost: Cost { instructions, allocations },
            dump: "small-body.gateway.callgrind".into(),
        }
    }

    /// The measures that grew and those that fell, with a record of (10 000, `recorded`) and these
    /// counts.
    fn changes(recorded: f64, found: (u64, f64)) -> (Vec<Measure>, Vec<Measure>) {
        let mut record = Record::default();
        record.replace(&[counted(10_000, recorded)], Origin::default());
        let verdict = Verdict::of(&[counted(found.0, found.1)], &record);
        assert!(verdict.unrecorded.is_empty());
        let measures = |changes: &[Change]| changes.iter().map(|change| change.measure).collect();
        (measures(&verdict.grown), measures(&verdict.fallen))
    }

    #[test]
    fn only_more_than_two_percent_is_a_change() {
        use Measure::{Allocations, Instructions};
        let cases = [
            (50.0, (10_000, 50.0), (vec![], vec![])),
            (50.0, (10_200, 51.0), (vec![], vec![])),
            (50.0, (10_201, 51.0), (vec![Instructions], vec![])),
            (50.0, (9_800, 49.0), (vec![], vec![])),
            (50.0, (9_799, 51.5), (vec![Allocations], vec![Instructions])),
            (50.0, (10_000, 48.5), (vec![], vec![Allocations])),
            (0.0, (10_000, 0.05), (vec![], vec![])),
            (0.0, (10_000, 0.5), (vec![Allocations], vec![])),
        ];
        for (recorded, found, expected) in cases {
            assert_eq!(changes(recorded, found), expected, "{recorded} {found:?}");
        }
    }

    #[test]
    fn what_is_not_recorded_is_named() {
        let verdict = Verdict::of(&[counted(1, 1.0)], &Record::default());
        assert_eq!(verdict.unrecorded, [("small body", "gateway")]);
        assert!(verdict.grown.is_empty() && verdict.fallen.is_empty());
    }
}
