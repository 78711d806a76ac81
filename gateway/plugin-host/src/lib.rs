//! Plugins before they are callbacks of a chain: found, inspected, tried, loaded. The only package
//! of the gateway that has `unsafe`.
//!
//! Reading order: `resolve` (name → file) → `inspect` (what the file says of itself, nothing
//! executed) → `schema` (its settings) → `snapshot` → `load_guard` (tried in a child process by
//! `probe`, written down in a `crash_journal`) → `loader` (the only place here that knows
//! `abi_stable` and `libloading`). `child` is work in a process of our own, `memory` two settings
//! of the allocator that gateway and plugins share. Not here: running hooks (`callbacks`), and what
//! a plugin is lent (`host`).

mod cache;
pub mod child;
mod crash_journal;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod hook;
mod inspect;
mod load_error;
mod load_guard;
mod loader;
mod lookup;
pub mod memory;
mod probe;
mod resolve;
mod schema;
mod snapshot;
mod startup_table;

pub use hook::Hook;
pub use inspect::{CallbackInfo, PluginInfo, Reason};
pub use load_guard::{LoadGuard, StartMode};
pub use loader::{
    CrashWatch, Instance, LeftOut, ListedPlugin, Loaded, Plugin, PluginKind, Recipe, RunningHook,
    Whereabouts, inspect_all, load_all, map, mapped_libraries, masked, signal_name,
};
pub use lookup::Lookup;
pub use probe::{SUBCOMMAND as PROBE, run_probe};
pub use resolve::SearchPath;
pub use startup_table::StartupTable;
