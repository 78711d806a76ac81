//! Plugin files: found, inspected, tried and loaded, and the promise of the ABI.

mod abi;
mod c_plugins;
pub(crate) mod evil_files;
mod load_guard;
pub(crate) mod plugin_files;
