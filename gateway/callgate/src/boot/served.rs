//! What serves, as far as another config is compared with it: by the next reload, and by
//! `callgate check --against-running`.

use super::{assembly::Built, log_filter::log_filter};
use crate::cli::Serve;
use callgate_config::{Environment, SealedOutline};
use callgate_plugin_host::ListedPlugin;
use serde::{Deserialize, Serialize};
use std::{num::NonZero, path::PathBuf};

/// The config that serves, without its secrets, and the files of its callbacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    outline: SealedOutline,
    /// Each callback and the first digits of its file's SHA-256, in order.
    callbacks: Vec<(String, String)>,
}

impl Served {
    /// The config of a start. Its secrets are hashed with a salt of its own.
    pub(super) fn of(built: &Built) -> Self {
        let salt = format!("{:016x}", fastrand::u64(..));
        let outline = built.config.outline.seal(&salt);
        Self { outline, callbacks: hashes(&built.plugins) }
    }

    /// The config that succeeds this one.
    pub(super) fn succeeded_by(&self, built: &Built) -> Self {
        let outline = self.outline.resealed(&built.config.outline);
        Self { outline, callbacks: hashes(&built.plugins) }
    }

    /// A sentence for each thing that is different in what was built.
    pub(super) fn changes(&self, built: &Built) -> Vec<String> {
        let mut changes = self.outline.changes(&built.config.outline);
        for (name, hash) in hashes(&built.plugins) {
            let before = self.callbacks.iter().find(|(known, _)| *known == name);
            if let Some((_, before)) = before.filter(|(_, before)| *before != hash) {
                changes.push(format!("callback `{name}`: its file changes, {before} → {hash}"));
            }
        }
        changes
    }

    /// Whether both have the same callbacks from the same files, in the same order.
    pub(super) fn has_callbacks_of(&self, other: &Self) -> bool {
        self.callbacks == other.callbacks
    }
}

fn hashes(plugins: &[ListedPlugin]) -> Vec<(String, String)> {
    plugins.iter().map(|it| (it.name.to_string(), it.sha256_prefix())).collect()
}

/// A sentence for each variable that differs.
pub(super) fn changed_variables(before: &Environment, after: &Environment) -> Vec<String> {
    let names = before.differences(after);
    names.iter().map(|name| format!("variable `{name}`: changed")).collect()
}

/// What a reload cannot change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NeedsRestart {
    address: Option<(String, u16)>,
    workers: Option<NonZero<usize>>,
    log_filter: Option<String>,
    pub(super) cache_dir: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    watch: bool,
}

impl NeedsRestart {
    pub(super) fn of(options: &Serve, built: &Built) -> Self {
        let address = options.address.resolve(&built.config.environment, built.config.needs_key());
        Self {
            address: address.ok().map(|address| (address.host, address.port)),
            workers: built.workers,
            log_filter: log_filter(&options.source),
            cache_dir: built.config.gateway.cache_dir.clone(),
            state_dir: built.config.gateway.state_dir.clone(),
            watch: built.config.gateway.watch,
        }
    }

    /// A sentence for each of them that the next config wants otherwise.
    pub(super) fn changes(&self, next: &Self) -> Vec<String> {
        let changes = [
            (self.address != next.address, "the address to listen on (`HOST`, `PORT`)"),
            (self.workers != next.workers, "the number of workers (`NUM_WORKERS`)"),
            (self.log_filter != next.log_filter, "the log filter (`RUST_LOG`)"),
            (self.cache_dir != next.cache_dir, "`callgate.cache_dir`"),
            (self.state_dir != next.state_dir, "`callgate.state_dir`"),
            (self.watch != next.watch, "`callgate.watch`"),
        ];
        let changed = changes.iter().filter(|(differs, _)| *differs);
        changed.map(|(_, what)| format!("{what} changes at the next start")).collect()
    }
}
