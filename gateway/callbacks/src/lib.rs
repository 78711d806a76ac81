//! The callbacks an operator lists, run in list order.
//!
//! Reading order: `chain` (running hooks) with `scope` and `answer` (what a hook sees), `rehearsal`
//! (a call without a server). `trial` runs the hooks of a plugin that is tried, `hook_list`
//! compares a manifest with the code, `named` the settings with the config, `offload` is for large
//! bodies. Not here: finding and loading plugins (`plugin_host`).

#![forbid(unsafe_code)]

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
