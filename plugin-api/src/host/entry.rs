//! The callback's entry of the config, and what surrounds it.

use super::{Host, listing::collecting};
use crate::abi::{EntryVtRef, View};
use std::path::PathBuf;

/// The callback's entry in the config's list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The name that the plugin exports the callback by.
    pub name: String,
    /// The name in logs, unique in the list: the entry's `instance`, else its name.
    pub instance: String,
    /// The index in the list, from 0. `None` if it is not known, as in the
    /// [probe](crate::is_probe).
    pub position: Option<usize>,
}

impl Host {
    fn entry_table(&self) -> Option<EntryVtRef> {
        self.raw.vt.entry()?.into_option()
    }

    /// Returns the callback's entry. A reload may keep the instance and move its entry, so ask
    /// again where the position matters. `None` if the gateway is older than 1.1.
    #[must_use]
    pub fn entry(&self) -> Option<Entry> {
        let (vt, ctx) = (self.entry_table()?, self.raw.ctx);
        // SAFETY: as in `Host`; the views live as long as the host and are copied here.
        let (name, instance, position) =
            unsafe { (vt.name()(ctx).text(), vt.instance()(ctx).text(), vt.position()(ctx)) };
        Some(Entry {
            name: name.unwrap_or_default().to_owned(),
            instance: instance.unwrap_or_default().to_owned(),
            position: usize::try_from(position).ok().filter(|_| position != u64::MAX),
        })
    }

    /// Returns whether the config serves a model name, so that
    /// [`set_model`](crate::LlmCall::set_model) leads somewhere. A callback that sends calls to a
    /// model from its settings asks in `new`: a misspelt name then fails at the start and in
    /// `callgate check`. A reload that keeps the instance may change the models, so ask again
    /// instead of keeping a list. `None` if that is not known: in the [probe](crate::is_probe), and
    /// in a gateway older than 1.1.
    #[must_use]
    pub fn has_model(&self, name: &str) -> Option<bool> {
        let vt = self.entry_table()?;
        // SAFETY: as in `Host`; the view lives until the call returns.
        match unsafe { vt.has_model()(self.raw.ctx, View::of(name.as_bytes())) } {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Returns the public names of the config's models, and its wildcards as written (`groq/*`).
    /// For messages and lists; [`has_model`](Self::has_model) says whether a name is served. `None`
    /// as there.
    #[must_use]
    pub fn models(&self) -> Option<Vec<String>> {
        let (vt, mut found) = (self.entry_table()?, Vec::new());
        // SAFETY: as in `Host`; `found` outlives the call.
        let known = unsafe { vt.models()(self.raw.ctx, collecting(&mut found)) };
        (known != 0).then(|| found.into_iter().map(|(name, _)| name).collect())
    }

    /// Returns a folder for what must survive a restart: the entry's own, below
    /// `callgate.state_dir`. The first call makes it, with mode 0700, and looks at the disk, so
    /// call it in `new`. By convention it holds at most 64 MiB; nothing enforces that, because a
    /// plugin is native code. In `callgate check` and in the [probe](crate::is_probe) it is a
    /// temporary folder. `None` if the gateway is older than 1.1, or if there is no folder that
    /// only the gateway's user can write to; a warning in the log says why.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        let vt = self.entry_table()?;
        // SAFETY: as in `Host`.
        let path = unsafe { vt.state_dir()(self.raw.ctx) }.into_option()?;
        Some(PathBuf::from(path.into_string()))
    }
}
