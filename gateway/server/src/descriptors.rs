//! How many files and connections this process may have open.
//!
//! A shell's soft limit is mostly 1024, for programs that use `select`. The gateway does not, so it
//! raises the soft limit to the hard one, as other servers do. Child processes get the original
//! limit back, because they may use `select` or close every descriptor up to the limit.

use callgate_plugin_host::child;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A limit below this is worth a warning.
const FEW: u64 = 4096;

/// Reserved for files other than connections: logs, plugins, name resolution.
const SPARE: u64 = 16;

/// The number of descriptors assumed to be open when the system does not report it.
const USUAL: u64 = 64;

/// Raises the soft limit to the hard one and logs it.
pub fn raise() {
    let before = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    child::limit_descriptors(before);
    if before.current != before.maximum
        && let Err(error) = setrlimit(Resource::Nofile, raised)
    {
        tracing::warn!(
            target: "callgate::descriptors",
            %error, "the limit of open files could not be raised"
        );
    }
    match limit() {
        Some(limit) if limit < FEW => tracing::warn!(
            target: "callgate::descriptors",
            limit,
            "at most {limit} files and connections can be open at once, and a call takes two; raise \
             the hard limit (`ulimit -Hn`, `LimitNOFILE=` of systemd)"
        ),
        limit => tracing::debug!(target: "callgate::descriptors", limit, "the limit of open files"),
    }
}

/// The soft limit; `None` if there is none.
fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The number of client connections that leaves a descriptor for each call's upstream connection.
/// Call it after everything else of a start is open.
pub(crate) fn room_for_clients() -> usize {
    room(limit(), open().unwrap_or(USUAL))
}

fn room(limit: Option<u64>, open: u64) -> usize {
    let Some(limit) = limit else { return usize::MAX };
    // Upstream connections outlive their calls, and one attempt may try several addresses at once.
    let room = limit.saturating_sub(open + SPARE + limit / 16) / 2;
    usize::try_from(room).unwrap_or(usize::MAX).max(1)
}

/// The number of descriptors open now.
fn open() -> Option<u64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count).ok()
}

#[cfg(test)]
mod tests {
    use super::room;

    #[test]
    fn half_of_what_can_be_spared_is_for_clients() {
        for (limit, open, expected) in [
            (Some(1024), 30, 457),
            (Some(64), 32, 6),
            (Some(20), 32, 1),
            (Some(20_000), 40, 9347),
            (None, 32, usize::MAX),
        ] {
            assert_eq!(room(limit, open), expected, "{limit:?}");
        }
    }
}
