//! The callbacks an operator lists: found, inspected, loaded, and run in list order.
//!
//! Reading order: `resolve` (name → file) → `inspect` (what the file says of itself, nothing
//! executed) → `schema` (its settings) → `snapshot` → `loader` (the only place here that knows
//! `abi_stable` and `libloading`) → `chain` (running hooks) with `scope` and `answer` (what a hook
//! sees). `rehearsal` runs them on a call without a server.

mod answer;
mod chain;
mod hook;
mod hook_list;
mod inspect;
mod loader;
mod refusal;
mod rehearsal;
mod resolve;
mod schema;
mod scope;
mod snapshot;
mod startup_table;

pub(crate) use answer::{Chunk, Failing, Figures, Reply, Streamed};
pub use chain::{
    BreakerState, CallbackReport, HookReport, LastFault, LiveReport, Status, ThreadsReport,
};
pub(crate) use chain::{Callbacks, Chain, Started};
pub(crate) use hook_list::disagreements;
pub use loader::{
    Instance, Kind, LeftOut, Loaded, Plugin, inspect_all, load_all, mapped_libraries,
};
pub use rehearsal::{Rehearsal, RehearsalError, RehearsedCall};
pub use resolve::SearchPath;
pub use startup_table::StartupTable;

/// The headers a key may come in, in LiteLLM's order: the first that is there counts.
pub(crate) const CREDENTIAL_HEADERS: &[&str] = &[
    "x-litellm-api-key",
    "authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "ocp-apim-subscription-key",
];
