//! Reads the operator's config: YAML with positions, variables expanded, all problems collected.
//! `boot` and `check` call [`load`] once for each start or reload. `deployments` builds the
//! deployments, and `plugin-host` finds the callbacks' files.
//!
//! Reading order: `problem` → `environment` → `yaml` → `expand` → `reader` → one file per section.

#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use callgate_secret::{Masking, Secret};

pub mod problem;
pub mod regular_file;

mod callbacks;
mod closest;
mod duration;
mod environment;
mod expand;
mod expiry;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gateway;
mod general;
mod http_url;
mod include;
mod json;
mod json_schema;
mod key_value;
mod keys;
mod litellm;
mod litellm_keys;
mod model_list;
mod outline;
pub mod pin;
mod protection;
mod proxy;
mod quote;
mod reader;
mod router;
mod section;
mod setting;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod upstream;
mod web;
mod yaml;

pub use callbacks::{
    BreakerLimits, CallScope, CallbackEntry, Canary, ChosenHook, Grants, HostPattern, Mode,
    OnError, RecordTo, SettingLocations, Streams, is_file_name, setting_path,
};
pub use closest::closest;
pub use environment::Environment;
pub use gateway::{GatewaySettings, Limits, Probing};
pub use general::GeneralSettings;
pub use http_url::{HttpUrl, ServerAddress, UrlError};
pub use json_schema::json_schema;
pub use keys::{ANONYMOUS, ClientKey, KeyScopes, MASTER_KEY, key_name_problem};
pub use litellm::LitellmSettings;
pub use litellm_keys::{ReportedKey, Standing};
pub use model_list::{AzureParams, ModelEntry, Weights};
pub use outline::{Outline, SealedOutline};
pub use problem::{Problem, Problems, Severity, SourceLocation};
pub use proxy::{Proxies, ProxyError, ProxyServer, UnusableProxy};
pub use quote::quoted;
pub use router::{Alias, RouterSettings};
pub use setting::{Setting, Unset};
pub use text::read_text;
pub use tls::{TlsSettings, Verify};
pub use upstream::Reuse;
pub use web::WebSettings;

use litellm_keys::KeySection;
use reader::{Field, Reader};
use section::Section;
use yaml::Kind;

/// How to treat an unknown key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownKeys {
    /// As a warning (the default).
    #[default]
    Warn,
    /// As an error: `--strict`, or `callgate.strict: true`.
    Refuse,
}

/// A whole config. Its `Debug` shows no secret and no free-form value.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from.
    pub file: Arc<Path>,
    /// That file and those that it includes.
    pub files: Vec<Arc<Path>>,
    /// The key that may do everything; `None` if neither the file nor `LITELLM_MASTER_KEY` sets
    /// one. Never blank.
    pub master_key: Option<Secret>,
    /// `general_settings`, without the master key.
    pub general: GeneralSettings,
    /// `model_list`, in the order of the file.
    pub models: Vec<ModelEntry>,
    /// The enabled entries of `litellm_settings.callbacks`, in call order.
    pub callbacks: Vec<CallbackEntry>,
    /// The entries with `enabled: false`.
    pub disabled_callbacks: Vec<CallbackEntry>,
    /// `litellm_settings`, without the callbacks.
    pub litellm: LitellmSettings,
    /// `router_settings`.
    pub router: RouterSettings,
    /// `callgate`: the keys that only this gateway has.
    pub gateway: GatewaySettings,
    /// The variables that the config was expanded with, including its own `environment_variables`.
    pub environment: Environment,
    /// The file as key paths and values, for comparison with another version.
    pub outline: Outline,
    /// Masks the values of variables that the config refers to, in texts about the config.
    pub hidden: Masking,
    /// The keys that ask for content to be kept out of callbacks: a problem each, if a callback
    /// that may keep it is loaded. See [`Config::settle_silence`].
    pub silencing: Vec<Problem>,
    /// What becomes of each key, in the order of the file.
    pub keys: Vec<ReportedKey>,
    /// All problems of the file, in its order. If one is an error, the config must not be used,
    /// because the faulty parts are missing from it.
    pub problems: Vec<Problem>,
}

impl Config {
    /// Requires a key, unless the address is a loopback one or the config permits none.
    ///
    /// # Errors
    /// If anybody who reaches the address could use the upstream keys.
    pub fn require_key(&self, host_is_loopback: bool) -> Result<(), Problem> {
        let permitted = host_is_loopback || self.general.permit_weak_or_unset_master_key;
        if self.is_keyed() || permitted {
            return Ok(());
        }
        let mut place = SourceLocation::whole_file(&self.file);
        "general_settings.master_key".clone_into(&mut place.path);
        let text = "expected a master key, because the address is not loopback; found none";
        let remedy = "set it here or in `LITELLM_MASTER_KEY`, list keys in `callgate.keys`, name a \
                      callback with `on_auth` in `general_settings.custom_auth`, or listen on \
                      127.0.0.1";
        Err(Problem::error(place, text).remedy(remedy))
    }

    /// Whether callers need a key: the master key, one of `callgate.keys`, or one that the callback
    /// of `general_settings.custom_auth` knows.
    #[must_use]
    pub fn is_keyed(&self) -> bool {
        let is_asked = self.general.custom_auth.is_some();
        self.master_key.is_some() || !self.gateway.keys.is_empty() || is_asked
    }

    /// Whether every caller needs a key that is not known to everybody.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.is_keyed() && !self.general.permit_weak_or_unset_master_key
    }

    /// The ids of all keys, or of no key, in callbacks, limits and logs.
    #[must_use]
    pub fn key_ids(&self) -> Vec<&str> {
        let master = self.master_key.is_some().then_some(MASTER_KEY);
        let nobody = (!self.is_keyed()).then_some(ANONYMOUS);
        let keys = self.gateway.keys.iter().map(|key| &*key.name);
        master.into_iter().chain(nobody).chain(keys).collect()
    }
}

impl Config {
    /// The problems of keys that ask for content to be kept out of callbacks, if a loaded callback
    /// may keep it; otherwise these keys have no effect.
    pub fn settle_silence(&mut self, is_kept: bool) -> Vec<Problem> {
        let asked = std::mem::take(&mut self.silencing);
        if is_kept {
            return asked;
        }
        for problem in asked {
            let key = self.keys.iter_mut().find(|key| key.place == problem.place);
            if let Some(key) = key {
                let why = "no callback that is loaded keeps prompts or replies";
                key.standing = Standing::Harmless(why);
                why.clone_into(&mut key.text);
            }
        }
        Vec::new()
    }

    /// Reports a command-line option that protects in LiteLLM, but not here.
    pub fn unprotected(&self, option: &str) -> Option<Problem> {
        let place = SourceLocation {
            path: format!("--{option}"),
            ..SourceLocation::whole_file(Path::new("command line"))
        };
        let protection = protection::Protection::named(option)?;
        Some(protection.problem(place, &self.gateway.accept_unprotected))
    }

    /// Warns of the consequences of having no key.
    #[must_use]
    pub fn warn_of_no_key(&self, host_is_loopback: bool) -> Option<Problem> {
        if self.is_keyed() {
            return None;
        }
        let who = if host_is_loopback {
            "every program of this machine"
        } else {
            "everybody who reaches the address"
        };
        let text = format!(
            "there is no master key: {who} may call at your cost; web pages of other origins and \
             foreign `Host` names are refused, but for those in `callgate.cors.allow_origins` and \
             `callgate.allow_hosts`"
        );
        let mut place = SourceLocation::whole_file(&self.file);
        "general_settings.master_key".clone_into(&mut place.path);
        Some(Problem::warning(place, text).remedy("set a long random key"))
    }
}

/// Reads as much as possible of the config at `path`; see [`Config::problems`].
///
/// # Errors
/// If nothing can be read: the file is missing, or is not a YAML mapping.
pub fn load(path: &Path, env: &Environment, unknown: UnknownKeys) -> Result<Config, Problems> {
    let text = read_text(path).map_err(|error| {
        let remedy = match error.system() {
            Some(io::ErrorKind::NotFound) => "name it with `--config` or `CONFIG_FILE_PATH`",
            Some(io::ErrorKind::PermissionDenied) => {
                "let the gateway's user read it and its folders"
            }
            _ => "expected a text file of YAML",
        };
        error.problem(path, "the config").remedy(remedy)
    })?;
    read(&Arc::from(path), &text, env, unknown)
}

/// As [`load`], from text. Any error fails the whole.
pub fn parse(
    file: &Arc<Path>,
    text: &str,
    env: &Environment,
    unknown: UnknownKeys,
) -> Result<Config, Problems> {
    let mut config = read(file, text, env, unknown)?;
    config.problems = problem::settle(config.problems)?;
    Ok(config)
}

fn read(
    file: &Arc<Path>,
    text: &str,
    env: &Environment,
    unknown: UnknownKeys,
) -> Result<Config, Problems> {
    let document = yaml::parse(file, text)?;
    let Some(root) = document.root.filter(|root| !root.is_null()) else {
        let text = "expected at least a `model_list`, found an empty file";
        return Err(Problem::error(SourceLocation::whole_file(file), text).into());
    };
    let (root, files, of_includes) = include::merged(file, root);
    let outline = Outline::of(&root);
    let root = Field { node: &root, path: String::new() };
    let mut reader = Reader::new(Arc::clone(file), env, unknown);
    reader.problems = document.problems;
    reader.problems.extend(of_includes);
    reader.files = files;
    let Some(mut root) = reader.section(&root) else { return Err(Problems(reader.problems)) };
    // It was read with the file.
    root.take("include");
    if asks_for_strictness(&mut root) {
        reader.unknown = UnknownKeys::Refuse;
    }
    accept_unprotected(&mut reader, &mut root);
    let environment = config_variables(&mut reader, &mut root);
    // Values below may refer to the config's own variables.
    let mut reader = Reader { env: &environment, ..reader };
    let mut config = sections(&mut reader, root);
    config.gateway.accept_unprotected = reader.accepted;
    config.problems = reader.problems;
    config.silencing = reader.silencing;
    config.files = reader.files;
    config.keys = reader.keys;
    config.keys.sort_by_key(|key| (key.place.line, key.place.column));
    config.hidden = reader.hidden.masking();
    config.problems.iter_mut().for_each(|it| it.mask(&config.hidden));
    problem::sort(&mut config.problems);
    config.environment = environment;
    config.outline = outline;
    Ok(config)
}

/// Read before the first unknown key is met; the value's type is checked later.
fn asks_for_strictness(root: &mut Section<'_>) -> bool {
    let strict = root.take("callgate").and_then(|field| Section::of(&field)?.take("strict"));
    strict.is_some_and(|field| field.node.is_true())
}

/// Read before the first protective key is met.
fn accept_unprotected(reader: &mut Reader<'_>, root: &mut Section<'_>) {
    let section = root.take("callgate").and_then(|field| Section::of(&field));
    if let Some(field) = section.and_then(|mut section| section.take("accept_unprotected")) {
        reader.accepted = protection::accepted(reader, &field);
    }
}

fn config_variables(reader: &mut Reader<'_>, root: &mut Section<'_>) -> Environment {
    let mut pairs = Vec::new();
    let section = root.take("environment_variables").and_then(|field| reader.section(&field));
    let unset = std::mem::replace(&mut reader.unset, Severity::Warning);
    for (name, field) in section.iter().flat_map(Section::members) {
        if matches!(field.node.kind, Kind::Mapping(_) | Kind::Sequence(_)) {
            let found = field.node.describe();
            let text = format!("expected text, found {found}; this variable is not set");
            reader.warning(&field, text);
        } else if !field.node.is_null()
            && let Some(value) = reader.any_text(&field)
        {
            pairs.push((name.to_owned(), value));
        }
    }
    reader.unset = unset;
    reader.env.clone().below(pairs)
}

fn sections(reader: &mut Reader<'_>, mut root: Section<'_>) -> Config {
    let mut section =
        |reader: &mut Reader<'_>, key| root.take(key).and_then(|field| reader.section(&field));
    let general = section(reader, "general_settings");
    let mut general = general::read(reader, general);
    reader.problems.extend(general::refuse_unsendable_key(&general));
    reader.problems.extend(general::refuse_documented_key(&general));
    let gateway = section(reader, "callgate");
    let gateway =
        gateway::read(reader, gateway, general.max_body_bytes, general.master_key.as_ref());
    let router = section(reader, "router_settings");
    let router = router.map(|section| router::read(reader, section)).unwrap_or_default();
    let litellm = section(reader, "litellm_settings");
    let litellm = litellm.map(|section| litellm::read(reader, section));
    let (litellm, listed) = litellm.unwrap_or_default();
    let settings = section(reader, "callback_settings");
    let mut callbacks = callbacks::read(reader, &listed, settings);
    general.settle_custom_auth(reader, &mut callbacks.enabled);
    let models = root.take("model_list");
    let models = models.map(|field| model_list::read(reader, &field)).unwrap_or_default();
    root.finish(reader, KeySection::TopLevel);
    Config {
        file: Arc::clone(&reader.file),
        files: Vec::new(),
        master_key: general.master_key,
        general: general.settings,
        models,
        callbacks: callbacks.enabled,
        disabled_callbacks: callbacks.disabled,
        litellm,
        router,
        gateway,
        environment: Environment::default(),
        outline: Outline::default(),
        hidden: Masking::default(),
        silencing: Vec::new(),
        keys: Vec::new(),
        problems: Vec::new(),
    }
}

impl Reader<'_> {
    /// A path in the config; relative ones start at the config's folder.
    fn beside_config(&self, path: &str) -> PathBuf {
        self.file.parent().unwrap_or(Path::new("")).join(path)
    }
}
