//! Whether this process only tries the plugin out.

use std::sync::LazyLock;

/// The environment variable that is set in a process that only tries the plugin out. Plugins ask
/// [`is_probe`] instead.
pub const PROBE_VARIABLE: &str = "CALLGATE_PROBE";

/// Whether this process only tries the plugin out.
///
/// A gateway loads a new file in a child process first, so that one that crashes there hurts
/// nobody. The child makes an instance with the real settings, runs each hook (also one that the
/// export leaves out) on a made-up call whose model is `probe`, drops it, and is killed. It runs
/// once for each new file and each change of the settings, also for `callgate check`, and beside a
/// gateway that already serves.
///
/// It is the same code with the same rights, so what `new` and the hooks do outside of memory
/// happens: a file is created, a port is taken, a message goes out. Ask here before doing what must
/// not happen twice. What is different in the child:
///
/// - the environment holds no keys: only what native code needs to run. A `new` that fails for want
///   of a variable is not held against the plugin; the gateway itself decides;
/// - warnings and errors in the host's log are shown only if the child dies, other lines go
///   nowhere;
/// - the host's counters start at zero and are thrown away;
/// - standard input is empty, what is printed is captured, and no core is written;
/// - private memory is bounded at 4 GiB, and time at the config's `callgate.probe_timeout` (5 s).
///
/// `callgate check` runs hooks too, in a process that is marked in the same way but has the
/// environment and the log of a gateway.
///
/// It never changes while a process lives. From any thread.
///
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
    fn a_process_that_nobody_probes_with_is_none() {
        assert!(!super::is_probe());
    }
}
