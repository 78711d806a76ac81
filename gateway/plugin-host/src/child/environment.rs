//! The environment of a child process: variables that native code needs for loading and running,
//! without those from which configs take keys.

use std::ffi::OsString;

/// Set in every child, so that plugin code can recognise the probe.
const MARK: (&str, &str) = (plugin_api::PROBE_VARIABLE, "1");

/// Names that are passed on.
const NAMES: &[&str] =
    &["PATH", "TMPDIR", "TZ", "LANG", "SSL_CERT_FILE", "SSL_CERT_DIR", "RUST_BACKTRACE"];

/// Prefixes that are passed on: the dynamic linker must find the same libraries in the child.
const FAMILIES: &[&str] = &["LD_", "GLIBC_", "MALLOC_", "LC_"];

/// The variables of a child process.
pub(super) fn passed() -> Vec<(OsString, OsString)> {
    let of_ours = std::env::vars_os().filter(|(name, _)| is_passed(&name.to_string_lossy()));
    of_ours.chain([(MARK.0.into(), MARK.1.into())]).collect()
}

fn is_passed(name: &str) -> bool {
    NAMES.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::is_passed;

    #[test]
    fn keys_stay_here_and_what_the_linker_needs_goes_along() {
        for name in ["LD_LIBRARY_PATH", "LD_PRELOAD", "TMPDIR", "PATH", "LC_ALL"] {
            assert!(is_passed(name), "{name}");
        }
        for name in ["OPENAI_API_KEY", "LITELLM_MASTER_KEY", "DATABASE_URL", "HOME", "PATHS"] {
            assert!(!is_passed(name), "{name}");
        }
    }
}
