//! Which hooks run, and how often: one table of the ways a call can end, played on every path, at
//! every provider, as JSON and as a stream, for each kind of callback, and compared with the
//! recorders' logs. `docs/hook-coverage.md` is written from these.
//!
//! `table` is the expectation, `setup` starts a gateway and an upstream for it, `run` makes the
//! calls and counts, `page` writes the document. `hook_data` tests the data that hooks get.

mod page;
mod paths;
mod run;
mod setup;
mod table;

use run::Observed;
use setup::{Ending, Kind};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use table::{Cell, Position};
use tokio::sync::Semaphore;

/// The number of stages that are played at the same time.
const AT_ONCE: usize = 3;

/// The observations for each row: all cases should agree.
type Findings = BTreeMap<(&'static str, Position, bool), BTreeSet<Cell>>;

#[tokio::test]
async fn every_hook_fires_as_often_as_the_table_says() {
    let kinds = [Kind::Sync, Kind::Async, Kind::Blocking];
    let endings = [Ending::Idle, Ending::Keyless, Ending::Full, Ending::Draining, Ending::CutOff];
    let stages = kinds.iter().flat_map(|kind| endings.map(|ending| (*kind, ending)));
    // A stage makes all its calls at once. With all stages at once, the last of some ten thousand
    // calls would wait long enough for its client to give up.
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let play = |(kind, ending)| {
        let slots = Arc::clone(&slots);
        tokio::spawn(async move {
            let _slot = slots.acquire().await.expect("nobody closes it");
            run::all(kind, ending).await
        })
    };
    let played: Vec<_> = stages.map(play).collect();
    let mut observed: Vec<Observed> = Vec::new();
    for stage in played {
        observed.extend(stage.await.expect("a stage is played to its end"));
    }
    let (mut findings, mut offences) = (Findings::new(), Vec::new());
    for Observed { case, position, cell } in &observed {
        let expected = case.expected(*position).expect("only what may happen is played");
        if *cell != expected {
            offences.push(format!("{case}, {position:?}: expected {expected}, found {cell}"));
        }
        findings.entry((case.row.what, *position, case.stream)).or_default().insert(cell.clone());
    }
    assert!(offences.is_empty(), "{} offences:\n{}", offences.len(), offences.join("\n"));
    page::check(&findings);
}
