//! The benchmark's parts, in reading order. The driver is `src/main.rs`; the two servers it
//! starts beside the gateway and nginx are `src/bin/bench-upstream.rs` and `bench-relay.rs`.
//!
//! Method: the proxy under test is pinned to one core, the fake upstream and the load generator
//! to the others. What is compared is CPU time of the proxy's processes, from the scheduler's own
//! accounting, divided by the requests (or stream chunks) the upstream counted. Proxies take turns
//! within every round, medians over rounds are printed, and ratios to nginx of the same run are
//! the figures that carry over from one machine to another.
//!
//! `src/bin/callgate-budget.rs` counts instructions instead, with the same proxies, upstream and
//! load generator: see `budget`.

pub mod budget;
pub mod cli;
pub mod driver;
pub mod dry_runs;
pub mod hooks;
pub mod measure;
pub mod proxies;
pub mod report;
pub mod startup;
pub mod workload;

pub mod load;
pub mod process;
pub mod prompt;
pub mod relay;
pub mod signals;
mod table;
pub mod upstream;
pub mod wire;
