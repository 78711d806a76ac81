//! The names of a plugin's symbol and of the steps that may crash: for those who look into a file
//! or report a crash, and load nothing.

use abi_stable::library::ROOT_MODULE_LOADER_NAME;

/// The symbol every plugin exports.
pub(crate) const ROOT_SYMBOL: &str = ROOT_MODULE_LOADER_NAME;

/// The steps of loading, as they follow "it crashed".
pub(crate) const LOAD: &str = "while being loaded";
pub(crate) const DESCRIBE: &str = "while its tables were read";
pub(crate) const CREATE: &str = "in its constructor";
