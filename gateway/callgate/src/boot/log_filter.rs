//! The filter of log lines, before there is a config.

use crate::cli::Source;
use callgate_config::Environment;

/// The variable that selects log lines.
pub(super) const RUST_LOG: &str = "RUST_LOG";

/// `RUST_LOG`, or the filter that LiteLLM's options ask for. An unreadable environment file is not
/// reported here, but by the start.
#[must_use]
pub fn log_filter(source: &Source) -> Option<String> {
    let environment =
        Environment::load(&source.files.config.path, source.files.env_file.as_deref());
    let environment = environment.unwrap_or_default();
    let litellm = source.litellm.with_environment(&environment);
    let wanted = environment.filled_var(RUST_LOG).map(str::to_owned);
    wanted.or_else(|| litellm.debug.then(|| "info,callgate=debug".to_owned()))
}
