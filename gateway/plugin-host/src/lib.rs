//! Plugins before they are callbacks of a chain: found, inspected, tried, loaded. The only package
//! of the gateway that has `unsafe`.
//!
//! Reading order: `resolve` (name → file) → `inspect` (what the file says of itself, nothing
//! executed) → `schema` (its settings) → `snapshot` → `caution` (tried in a child process by
//! `probe`, written down in a `record`) → `loader` (the only place here that knows `abi_stable` and
//! `libloading`). `child` is work in a process of our own, `memory` two settings of the allocator
//! that gateway and plugins share. Not here: running hooks (`callbacks`), and what a plugin is lent
//! (`host`).

mod cache;
mod caution;
pub mod child;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hook;
mod inspect;
mod loader;
pub mod memory;
mod probe;
mod record;
mod refusal;
mod resolve;
mod resolved;
mod schema;
mod snapshot;
mod startup_table;

pub use caution::{Caution, Occasion};
pub use hook::Hook;
pub use inspect::{Reason, Survey, SurveyedCallback};
pub use loader::{
    CrashWatch, Instance, Kind, LeftOut, Loaded, Plugin, Recipe, RunningHook, Whereabouts,
    inspect_all, load_all, map, mapped_libraries, masked, signal_name,
};
pub use probe::{SUBCOMMAND as PROBE, run_probe};
pub use resolve::SearchPath;
pub use resolved::Resolved;
pub use startup_table::StartupTable;
