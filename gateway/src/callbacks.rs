//! The callbacks an operator lists: found, inspected, loaded, and run in list order.
//!
//! Reading order: `resolve` (name → file) → `inspect` (what the file says of itself, nothing
//! executed) → `schema` (its settings) → `snapshot` → `caution` (tried in a child process by
//! `probe`, written down in a `record`) → `loader` (the only place here that knows `abi_stable` and
//! `libloading`) → `chain` (running hooks) with `scope` and `answer` (what a hook sees).
//! `rehearsal` runs them on a call without a server.

mod answer;
mod canned;
mod chain;
mod hook_list;
mod named;
pub mod offload;
mod rehearsal;
mod scope;
mod trial;

pub use named::unknown_names;

pub use answer::{Chunk, Failing, Figures, Reply, Streamed, is_completion};
pub use chain::{
    BreakerState, CallbackReport, Callbacks, Chain, HookReport, LastFault, LiveReport, Started,
    Status, ThreadsReport,
};
pub use hook_list::disagreements;
pub use rehearsal::{Answered, Prepared, Rehearsal, RehearsalError, RehearsedCall, Story};
pub use trial::run_probe;
