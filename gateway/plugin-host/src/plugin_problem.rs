//! How a problem with a plugin begins: with its name as the config has it, and its file.

use callgate_config::{CallbackEntry, quoted};
use std::path::Path;

/// ``plugin `src.callbacks.rate_limit` (`plugins/librate_limit.so`): …``, with the name as written.
pub(super) fn about(entry: &CallbackEntry, file: Option<&Path>, text: &str) -> String {
    let written = quoted(&entry.written);
    match file {
        Some(file) => format!("plugin `{written}` (`{}`): {text}", file.display()),
        None => format!("plugin `{written}`: {text}"),
    }
}
