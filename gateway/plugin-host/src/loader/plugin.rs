//! One loaded callback: its facts and its live instance.

use super::{
    instance::{Hooks, Instance, InstanceError, tester},
    library::Library,
    names::CREATE,
};
use crate::{
    inspect::Inspected,
    load_error::{LoadError, downgrade_if_optional},
    load_guard::LoadGuard,
    plugin_problem::about,
    schema::{self, Naming},
    settings_masking::masked,
    snapshot::Snapshot,
};
use callgate_config::{CallbackEntry, Grants, Problem};
use callgate_host::{CallbackHost, Counting, Listing, Permissions, Services, masked_twice};
use callgate_secret::Masking;
use plugin_api::{
    InitError,
    abi::ApiVersion,
    testing::{MockHost, Tester},
};
use std::{ops::Deref, path::PathBuf, sync::Arc, time::Duration};

/// How a callback's hooks run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginKind {
    /// Inline, on the call's own thread.
    Sync,
    /// As futures.
    Async,
}

/// Everything known of a callback, and needed to create another instance.
#[derive(Debug)]
pub struct Recipe {
    /// Its name in logs and faults: the entry's `instance`, otherwise its name.
    pub name: Arc<str>,
    /// The config's entry: fault policy, timeout, settings. A reload that keeps the instance keeps
    /// this entry, so only [`ListedPlugin::position`] is always current.
    pub entry: CallbackEntry,
    /// The operator's file (what runs is a private copy of it).
    pub file: PathBuf,
    /// The file's SHA-256.
    pub sha256: [u8; 32],
    /// The version of the plugin's package.
    pub version: String,
    /// The ABI version it was built against.
    pub api: ApiVersion,
    /// The hooks that its manifest lists.
    pub hooks: Vec<String>,
    /// The hooks that run: all, or those the entry chooses.
    pub chosen_hooks: Vec<String>,
    /// The inputs of `on_auth`, as its manifest says.
    pub auth_headers: Arc<[String]>,
    /// How they run.
    pub kind: PluginKind,
    /// The parts of the call that it reads, as its manifest says.
    pub reads: Vec<String>,
    /// The parts of the call that it changes, as its manifest says.
    pub writes: Vec<String>,
    /// Its settings that refer to names in the config.
    pub namings: Vec<Naming>,
    /// The time from resolving the file to the live instance, probe included.
    pub load_time: Duration,
    /// The name that its manifest exports.
    callback: String,
    library: &'static Library,
    permissions: Arc<Permissions>,
    services: Arc<Services>,
}

/// One loaded callback: its [`Recipe`] and a live instance.
#[derive(Debug)]
pub struct Plugin {
    recipe: Recipe,
    /// The live callback.
    pub instance: Instance,
}

impl Deref for Plugin {
    type Target = Recipe;

    fn deref(&self) -> &Recipe {
        &self.recipe
    }
}

/// A callback of the config's list.
#[derive(Debug)]
pub enum ListedPlugin {
    /// Created for this config.
    New(Box<Plugin>),
    /// Already running, with the same file, settings and policy.
    Running {
        /// From when the instance was created.
        recipe: Arc<Recipe>,
        /// Index in the list as written, from 0.
        position: usize,
    },
}

impl ListedPlugin {
    /// Index in the list as written, from 0.
    #[must_use]
    pub fn position(&self) -> usize {
        match self {
            Self::New(plugin) => plugin.entry.position,
            Self::Running { position, .. } => *position,
        }
    }

    /// As [`ListedPlugin::made`], borrowed.
    #[must_use]
    pub fn as_made(&self) -> Option<&Plugin> {
        match self {
            Self::New(plugin) => Some(plugin),
            Self::Running { .. } => None,
        }
    }

    /// The callback created for this config; `None` for one that is already running.
    #[must_use]
    pub fn made(self) -> Option<Plugin> {
        match self {
            Self::New(plugin) => Some(*plugin),
            Self::Running { .. } => None,
        }
    }
}

impl Deref for ListedPlugin {
    type Target = Recipe;

    fn deref(&self) -> &Recipe {
        match self {
            Self::New(plugin) => &plugin.recipe,
            Self::Running { recipe, .. } => recipe,
        }
    }
}

impl Plugin {
    /// Maps the library, unless its bytes are mapped already, and creates an instance.
    pub(super) fn load(
        entry: &CallbackEntry,
        inspected: Inspected,
        snapshot: Snapshot,
        (permissions, services, listing): (Arc<Permissions>, Arc<Services>, &Arc<Listing>),
        guard: &LoadGuard,
    ) -> Result<Self, LoadError> {
        let mut step = |step| guard.loading(&inspected, step);
        let library = Library::of(&inspected, snapshot, &mut step)?;
        step(CREATE);
        let Inspected { file, sha256, header, callback, .. } = inspected;
        let name: Arc<str> = entry.called().into();
        let counts = Counting::of(entry, &callback.name);
        let host = CallbackHost::new(Arc::clone(&name), counts, &permissions, &services)
            .listed_in(listing);
        let instance =
            Instance::new(library, &callback.name, &entry.settings, host, Hooks::Exported)?;
        let recipe = Recipe {
            name,
            file,
            sha256,
            version: header.version,
            api: header.api,
            chosen_hooks: chosen(entry, &callback.hooks),
            hooks: callback.hooks,
            auth_headers: callback.auth_headers.into(),
            kind: if callback.kind == "async" { PluginKind::Async } else { PluginKind::Sync },
            reads: callback.reads,
            writes: callback.writes,
            load_time: Duration::ZERO,
            namings: schema::namings(&callback.settings_schema, entry),
            entry: entry.clone(),
            callback: callback.name,
            library,
            permissions,
            services,
        };
        Ok(Self { recipe, instance })
    }

    /// Records and logs the duration of the load.
    pub(super) fn loaded_in(mut self, load_time: Duration) -> Self {
        self.recipe.load_time = load_time;
        self.announce();
        self
    }

    /// The live callback, and the recipe for another instance.
    pub fn into_parts(self) -> (Instance, Recipe) {
        (self.instance, self.recipe)
    }

    /// An instance whose table has *all* hooks, listed in the manifest or not, to compare the list
    /// with the code. Never put it into a chain.
    ///
    /// # Errors
    /// If the plugin refuses to create one.
    pub fn create_with_all_hooks(&self) -> Result<Instance, Problem> {
        let Recipe { entry, .. } = &self.recipe;
        self.recipe.instance(Hooks::All).map_err(|error| {
            downgrade_if_optional(entry, LoadError::from(error).problem(entry, Some(&self.file)))
        })
    }

    /// A problem of this plugin, at its entry's location.
    pub fn problem(&self, text: &str, remedy: &str) -> Problem {
        let text = about(&self.entry, Some(&self.file), text);
        downgrade_if_optional(
            &self.entry,
            Problem::error(self.entry.place.clone(), text).remedy(remedy),
        )
    }

    /// Another instance, on the test kit's mock host, on which `plugin check` runs the conformance
    /// suite.
    pub fn tester(&self, host: &MockHost) -> Result<Tester, InitError> {
        let Recipe { library, callback, name, entry, .. } = &self.recipe;
        tester(library, callback, name, &entry.settings, host)
            .map_err(|error: InstanceError| InitError::new(error.to_string()))
    }

    fn announce(&self) {
        tracing::info!(
            target: "callgate::callbacks::loader::plugin", { callback.name = %self.name, version = %self.version, abi = %self.api, sha256 = %self.sha256_prefix(), hooks = %self.chosen_hooks.join(" "), milliseconds = self.load_time.as_secs_f64() * 1e3 },
        "callback loaded from `{}`",
            self.file.display(),
        );
    }
}

/// The manifest's hooks that the entry chooses.
fn chosen(entry: &CallbackEntry, hooks: &[String]) -> Vec<String> {
    let is_wanted = |hook: &&String| match &entry.hooks {
        Some(wanted) => wanted.iter().any(|it| it.name == **hook),
        None => true,
    };
    hooks.iter().filter(is_wanted).cloned().collect()
}

impl Recipe {
    /// Masks secrets in the callback's text: those of its settings, those granted to it, and the
    /// gateway's own.
    pub fn without_secrets(&self, message: &str) -> String {
        let message = masked(message, &self.entry.settings);
        masked_twice(self.permissions.masking(), self.services.masking(), &message).into_owned()
    }

    /// The operator's grants for the callback, and the gateway's mask.
    pub fn grants(&self) -> (&Grants, &Masking) {
        (&self.entry.grants, self.services.masking())
    }

    /// The first 12 hex digits of the file's SHA-256.
    pub fn sha256_prefix(&self) -> String {
        self.sha256[..6].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether its instance can serve `entry`: file, settings, policy and grants are the same. The
    /// entry's position does not matter.
    pub(super) fn serves(
        &self,
        entry: &CallbackEntry,
        inspected: &Inspected,
        permissions: &Permissions,
    ) -> bool {
        self.sha256 == inspected.sha256
            && self.callback == inspected.callback.name
            && self.file == inspected.file
            && self.entry.asks_the_same_as(entry)
            && self.permissions.grant_the_same_as(permissions)
    }

    /// Whether it replaces `before`: the entry and the callback have the same names.
    pub fn succeeds(&self, before: &Self) -> bool {
        self.name == before.name && self.callback == before.callback
    }

    /// A new instance from the same library and settings. May block in the constructor.
    pub fn make(&self) -> Result<Instance, Problem> {
        self.instance(Hooks::Exported)
            .map_err(|error| LoadError::from(error).problem(&self.entry, Some(&self.file)))
    }

    fn instance(&self, hooks: Hooks) -> Result<Instance, InstanceError> {
        let Self { library, callback, name, entry, permissions, services, .. } = self;
        let counts = Counting::of(entry, callback);
        let host = CallbackHost::new(Arc::clone(name), counts, permissions, services);
        Instance::new(library, callback, &entry.settings, host, hooks)
    }
}
