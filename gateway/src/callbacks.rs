//! The callbacks an operator lists: found, inspected, loaded, and run in list order.
//!
//! Reading order: `resolve` (name → file) → `inspect` (what the file says of itself, nothing
//! executed) → `schema` (its settings) → `snapshot` → `caution` (tried in a child process by
//! `probe`, written down in a `record`) → `loader` (the only place here that knows `abi_stable` and
//! `libloading`) → `chain` (running hooks) with `scope` and `answer` (what a hook sees).
//! `rehearsal` runs them on a call without a server.

mod answer;
mod cache;
mod canned;
mod caution;
mod chain;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hook;
mod hook_list;
mod inspect;
mod loader;
mod probe;
mod record;
mod refusal;
mod rehearsal;
mod resolve;
mod resolved;
mod schema;
mod scope;
mod snapshot;
mod startup_table;
mod trial;

pub(crate) use answer::{Chunk, Failing, Figures, Reply, Streamed, is_completion};
pub use caution::{Caution, Occasion};
pub use chain::{
    BreakerState, CallbackReport, HookReport, LastFault, LiveReport, Status, ThreadsReport,
};
pub(crate) use chain::{Callbacks, Chain, Started};
pub(crate) use hook::Hook;
pub(crate) use hook_list::disagreements;
pub use inspect::{Reason, Survey, SurveyedCallback};
pub use loader::{
    CrashWatch, Instance, Kind, LeftOut, Loaded, Plugin, inspect_all, load_all, mapped_libraries,
};
pub(crate) use loader::{Whereabouts, map, masked, signal_name};
pub use probe::SUBCOMMAND as PROBE;
pub(crate) use rehearsal::Prepared;
pub use rehearsal::{Answered, Rehearsal, RehearsalError, RehearsedCall, Story};
pub use resolve::SearchPath;
pub use resolved::Resolved;
pub use startup_table::StartupTable;
pub use trial::run_probe;
