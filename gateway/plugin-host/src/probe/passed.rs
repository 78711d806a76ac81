//! Remembers plugins that passed: one file for each, whose name identifies plugin, settings and
//! gateway, and whose content proves that a gateway of this user wrote it.
//!
//! Both are keyed hashes: settings may hold secrets, which could be guessed from a plain hash. A
//! file that does not match is ignored. Plugins that failed are probed again at every start.

use crate::{cache::CacheFolder, loader::glibc_version};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::{fs, os::unix::fs::MetadataExt as _};
use subtle::ConstantTimeEq as _;

const PREFIX: &str = "passed-";
const KEY: &str = "key";

/// Beyond this number, the older half is removed.
const KEPT: usize = 512;

/// The passed probes of this gateway.
#[derive(Debug)]
pub(super) struct PassedProbes {
    cache: CacheFolder,
    key: Key,
    gateway: String,
}

struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// The record of one probe, which may exist or not.
#[derive(Debug)]
pub(super) struct PassedProbe<'a> {
    of: &'a PassedProbes,
    name: String,
}

impl PassedProbes {
    /// `None` if nothing can be stored in the folder.
    pub(super) fn open(cache: CacheFolder) -> Option<Self> {
        let known = cache.read(KEY).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = match known {
            Some(key) => key,
            None => {
                let mut key = [0; 32];
                rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
                    .inspect_err(|error| {
                        tracing::debug!(
                            target: "callgate::callbacks::probe::verdicts",
                            "no verdicts are kept: {error}"
                        );
                    })
                    .ok()
                    .filter(|count| *count == key.len())?;
                let written = cache.write(KEY, &key);
                written
                    .inspect_err(|error| {
                        tracing::debug!(
                            target: "callgate::callbacks::probe::verdicts",
                            "no verdicts are kept: {error}"
                        );
                    })
                    .ok()?;
                key
            }
        };
        Some(Self { cache, key: Key(key), gateway: gateway() })
    }

    /// The record for this request to the child.
    pub(super) fn of(&self, request: &[u8]) -> PassedProbe<'_> {
        let name = format!("{PREFIX}{}", self.keyed(&[self.gateway.as_bytes(), b"\n", request]));
        PassedProbe { of: self, name }
    }

    fn keyed(&self, parts: &[&[u8]]) -> String {
        // A key may have any length.
        let Ok(mut hash) = Hmac::<Sha256>::new_from_slice(&self.key.0) else {
            return String::new();
        };
        parts.iter().for_each(|part| hash.update(part));
        hash.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn make_room(&self) {
        let mut files = self.cache.files(PREFIX);
        if files.len() > KEPT {
            files.sort_by_key(|(_, written)| *written);
            files.iter().take(files.len() / 2).for_each(|(name, _)| self.cache.remove(name));
        }
    }
}

impl PassedProbe<'_> {
    /// Whether the plugin has passed.
    pub(super) fn passed(&self) -> bool {
        let content = self.of.cache.read(&self.name);
        content.is_some_and(|content| content.ct_eq(self.seal().as_bytes()).into())
    }

    /// Records that it has passed.
    pub(super) fn note_passed(&self) {
        if let Err(error) = self.of.cache.write(&self.name, self.seal().as_bytes()) {
            tracing::debug!(
                target: "callgate::callbacks::probe::verdicts",
                "the verdict is not kept: {error}"
            );
        }
        self.of.make_room();
    }

    fn seal(&self) -> String {
        self.of.keyed(&[b"seal ", self.name.as_bytes()])
    }
}

/// Identifies this build: a plugin that passed with one build may fail with another.
fn gateway() -> String {
    let file = fs::metadata("/proc/self/exe").ok();
    let file = file.map(|it| (it.dev(), it.ino(), it.size(), it.mtime(), it.mtime_nsec()));
    format!("{} {file:?} {:?}", env!("CARGO_PKG_VERSION"), glibc_version())
}

#[cfg(test)]
mod tests {
    use super::{CacheFolder, KEPT, PassedProbes};
    use std::fs;

    #[test]
    fn only_what_passed_has_passed() {
        let folder = tempfile::tempdir().unwrap();
        let open = || PassedProbes::open(CacheFolder::open(Some(folder.path())).unwrap()).unwrap();
        let verdicts = open();
        assert!(!verdicts.of(b"plugin").passed());
        verdicts.of(b"plugin").note_passed();
        assert!(verdicts.of(b"plugin").passed() && open().of(b"plugin").passed());
        assert!(!verdicts.of(b"plugin with other settings").passed());
        let other = PassedProbes { gateway: "other".to_owned(), ..open() };
        assert!(!other.of(b"plugin").passed(), "another gateway has not seen it");
    }

    #[test]
    fn what_is_corrupt_or_forged_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheFolder::open(Some(folder.path())).unwrap();
        let verdicts = PassedProbes::open(cache.clone()).unwrap();
        let name = verdicts.of(b"plugin").name;
        for content in ["", "passed", "0000"] {
            fs::write(folder.path().join(&name), content).unwrap();
            assert!(!verdicts.of(b"plugin").passed(), "{content}");
        }
        verdicts.of(b"plugin").note_passed();
        fs::write(folder.path().join("key"), "short").unwrap();
        assert!(
            !PassedProbes::open(cache).unwrap().of(b"plugin").passed(),
            "a new key, none known"
        );
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let cache = CacheFolder::open(Some(folder.path())).unwrap();
        for number in 0..=KEPT {
            fs::write(folder.path().join(format!("passed-{number}")), "").unwrap();
        }
        PassedProbes::open(cache.clone()).unwrap().of(b"plugin").note_passed();
        assert!(cache.files("passed-").len() < KEPT);
    }
}
