//! Finds, inspects, probes and loads plugins. The only package of the gateway with `unsafe` code.
//!
//! Reading order: `resolve` (name → file) → `inspect` (reads the file, executes nothing) → `schema`
//! (its settings) → `snapshot` → `load_guard` (has it tried by `probe`, and records the loading in
//! a `crash_journal`) → `loader` (the only module that knows `abi_stable` and `libloading`).
//! `child` runs work in a child process; `memory` has two settings of the allocator that gateway
//! and plugins share. `callbacks` runs the hooks, and `host` has the services for plugins.

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
mod plugin_problem;
mod probe;
mod resolve;
mod schema;
mod settings_masking;
mod snapshot;
mod startup_table;

pub use cache::{cache_folder, open_private_folder, state_folder};
pub use crash_journal::config_id;
pub use hook::Hook;
pub use inspect::{CallbackInfo, PluginInfo, Reason};
pub use load_guard::{LoadGuard, RunRecord, StartMode};
pub use loader::{
    CrashWatch, Instance, LeftOut, ListedPlugin, Loaded, Plugin, PluginKind, PluginLocation,
    Recipe, RunningHook, Whereabouts, exit_at_once, inspect_all, load_all, map, mapped_libraries,
    signal_name,
};
pub use lookup::Lookup;
pub use probe::{HookListError, SUBCOMMAND as PROBE, run_probe};
pub use resolve::SearchPath;
pub use schema::settings_schemas;
pub use settings_masking::masked;
pub use startup_table::StartupTable;
