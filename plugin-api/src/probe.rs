//! How a plugin recognises a trial.

use std::sync::LazyLock;

/// The environment variable that the gateway sets in a process that only tries plugins. Plugins
/// call [`is_probe`] instead of reading it.
pub const PROBE_VARIABLE: &str = "CALLGATE_PROBE";

/// Returns whether this process only tries the plugin. The value never changes, and any thread may
/// ask. A gateway loads a new file in a child process first, so that a crash there does no harm.
/// The child makes an instance with the real settings, runs each hook (also hooks that the export
/// does not list) on a sample call whose model is `probe`, drops the instance, and is killed. There
/// is one trial for each new file and for each change of its settings, also by `callgate check`,
/// and possibly while a gateway is running. The plugin has the same rights in the child, so the
/// effects of `new` and the hooks are real: files are created, ports are opened, messages are sent.
/// Check `is_probe` before effects that must not happen twice. These things differ in the child:
///
/// - The environment has no keys, only the variables that native code needs to run. If `new`
///   returns an error there, the gateway tries again in its own process.
/// - Warnings and errors in the host's log are shown only if the child crashes. Other lines are
///   dropped.
/// - The host's counters start at zero and are dropped.
/// - Standard input is empty, output is captured, and no core dump is written.
/// - It may use 4 GiB of private memory, and run for `callgate.probe_timeout` (5 s by default).
///   `callgate check` also runs hooks. `is_probe` is true there too, but the environment and the
///   log are those of a gateway.
/// ```
/// # fn open_socket() {}
/// if !plugin_api::is_probe() {
///     open_socket();
/// }
/// ```
#[must_use]
pub fn is_probe() -> bool {
    static PROBE: LazyLock<bool> = LazyLock::new(|| std::env::var_os(PROBE_VARIABLE).is_some());
    *PROBE
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_without_the_variable_is_no_probe() {
        assert!(!super::is_probe());
    }
}
