//! Resolves an entry of the config's list to a file. Called by `loader` and by `check`. `inspect`
//! reads the file.

#[cfg(test)]
pub(super) mod tests;

use callgate_config::{CallbackEntry, closest, is_file_name, quoted};
use callgate_telemetry::{cut, one_line};
use std::{
    collections::BTreeSet,
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Where plugins are looked up, and how strictly their files are checked.
#[derive(Clone, Debug, Default)]
pub struct SearchPath {
    folders: Vec<PathBuf>,
    strict_permissions: bool,
    require_pins: bool,
}

impl SearchPath {
    /// The folders, in this order: `plugin_dir` (from the command line or the config), `plugins/`
    /// beside the config file, the executable's own folder, and `../lib/callgate/plugins` from
    /// there.
    #[must_use]
    pub fn new(plugin_dir: Option<&Path>, config: &Path, executable: Option<&Path>) -> Self {
        let beside = config.parent().unwrap_or(Path::new("")).join("plugins");
        let own = executable.and_then(Path::parent).map(Path::to_owned);
        let installed =
            own.as_ref().and_then(|own| Some(own.parent()?.join("lib/callgate/plugins")));
        let mut folders = Vec::new();
        for folder in [plugin_dir.map(Path::to_owned), Some(beside), own, installed] {
            folders.extend(folder.filter(|folder| !folders.contains(folder)));
        }
        Self { folders, strict_permissions: false, require_pins: false }
    }

    /// Refuses a plugin that a user other than root or the gateway's own could change, instead of
    /// warning.
    #[must_use]
    pub fn strict_permissions(mut self, strict: bool) -> Self {
        self.strict_permissions = strict;
        self
    }

    /// The folders, in search order.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Refuses a plugin whose entry has no hash.
    #[must_use]
    pub fn require_pins(mut self, required: bool) -> Self {
        self.require_pins = required;
        self
    }

    pub(super) fn requires_pins(&self) -> bool {
        self.require_pins
    }

    pub(super) fn is_strict(&self) -> bool {
        self.strict_permissions
    }

    /// The names of all plugins in the folders.
    fn present(&self) -> BTreeSet<String> {
        let files = self.folders.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
        let names = files.flatten().filter_map(|file| {
            let name = file.file_name().into_string().ok()?;
            Some(name.strip_prefix("lib")?.strip_suffix(".so")?.to_owned())
        });
        names.collect()
    }
}

/// Why an entry has no file.
#[derive(Debug, Error, PartialEq, Eq)]
pub(super) enum ResolveError {
    #[error("expected a plugin at `{}`, found no file", quoted(&.0.display().to_string()))]
    NoFile(PathBuf),
    /// A built-in of LiteLLM that only observes.
    #[error(
        "`{name}` is a built-in of LiteLLM that this gateway lacks; it only observes calls, so it is left out"
    )]
    LitellmObserver { name: String },
    /// A built-in of LiteLLM that refuses, changes or counts calls.
    #[error(
        "`{name}` is a built-in of LiteLLM; this gateway has no callback of that name: tried {}",
        list(tried)
    )]
    LitellmBuiltIn { name: String, tried: Vec<PathBuf> },
    #[error("expected a callback's name or a path with a `/`, found the file name `{0}`")]
    FileName(String),
    #[error("`{name}` looks like a callback in Python: expected a native plugin, found none")]
    Python { name: String },
    #[error(
        "expected `lib{}.so` in one of the plugin folders, found it in none: tried {}",
        quoted(name),
        list(tried)
    )]
    NotFound { name: String, tried: Vec<PathBuf>, near: Option<String> },
}

impl ResolveError {
    pub(super) fn remedy(&self) -> String {
        match self {
            Self::NoFile(_) => {
                "build the plugin, or correct the path (it is relative to the config file)"
                    .to_owned()
            }
            Self::LitellmObserver { name } if name == "prometheus" => {
                "remove it from the list: `GET /metrics` is there without it".to_owned()
            }
            Self::LitellmObserver { name } => format!(
                "remove it from the list, or give the path of a plugin that does its work: `./lib{name}.so`"
            ),
            Self::LitellmBuiltIn { name, .. } if REPLACED.iter().any(|(it, _)| it == name) => {
                let by = REPLACED.iter().find(|(it, _)| it == name).map_or("", |(_, by)| by);
                format!("list `{by}` instead: it is another callback, with its own settings")
            }
            Self::Python { name } => format!(
                "Python callbacks are not run; docs/plugin-guide.md shows how to write a native one, `lib{name}.so`"
            ),
            Self::LitellmBuiltIn { name, .. } => format!(
                "remove it from the list, or give the path of a plugin that does its work: `./lib{name}.so`"
            ),
            Self::FileName(name) => {
                let stem = name.strip_suffix(".so").unwrap_or(name);
                let stem = stem.strip_prefix("lib").unwrap_or(stem);
                format!("write `{stem}`, or a path: `./{name}`")
            }
            Self::NotFound { near: Some(near), .. } => format!("did you mean `{near}`?"),
            Self::NotFound { name, .. } => format!(
                "copy the plugin to one of these folders, name its folder with `--plugin-dir`, or write its path: `./lib{}.so`",
                quoted(name)
            ),
        }
    }
}

fn list(tried: &[PathBuf]) -> String {
    let paths: Vec<_> = tried.iter().map(|path| format!("`{}`", shown(path))).collect();
    paths.join(", ")
}

/// A path in a message; its name may come from an entry, so it is quoted.
fn shown(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().unwrap_or(Path::new("")).to_string_lossy();
    format!("{}/{}", one_line(&cut(&folder, 200)), quoted(&name))
}

/// The file of an entry. A file that cannot be examined counts as found, because reading it reports
/// the reason.
pub(super) fn resolve(entry: &CallbackEntry, search: &SearchPath) -> Result<PathBuf, ResolveError> {
    if let Some(file) = &entry.file {
        return if is_there(file) {
            Ok(file.clone())
        } else {
            Err(ResolveError::NoFile(file.clone()))
        };
    }
    let name = entry.name.clone();
    let file = format!("lib{name}.so");
    if is_file_name(&entry.written) {
        return Err(ResolveError::FileName(quoted(&entry.written)));
    }
    // The folder of a dotted name is the one the operator pointed at.
    let folders = entry.folder.iter().chain(&search.folders);
    let mut tried: Vec<_> = folders.map(|folder| folder.join(&file)).collect();
    // To LiteLLM, the last part is an object of the module before it.
    if let (Some(module), Some(folder)) = (entry.module(), &entry.folder) {
        let file = format!("lib{module}.so");
        let folders = folder.parent().into_iter().chain(search.folders.iter().map(|it| &**it));
        tried.extend(folders.map(|folder| folder.join(&file)));
    }
    if let Some(found) = tried.iter().position(|path| is_there(path)) {
        return Ok(tried.swap_remove(found));
    }
    // A protective callback must never be taken for an observer.
    if LITELLM_GUARDS.contains(&name.as_str()) {
        return Err(ResolveError::LitellmBuiltIn { name, tried });
    }
    if LITELLM_OBSERVERS.contains(&name.as_str()) {
        return Err(ResolveError::LitellmObserver { name });
    }
    let present = search.present();
    // A dangling link counts as found, because it has the right name.
    let others = present.iter().map(String::as_str).filter(|other| *other != name);
    let near = closest(&name, others).map(str::to_owned);
    // The instance names in LiteLLM's documentation and in its users' configs.
    if near.is_none() && ["_instance", "_handler", "_handlers"].iter().any(|it| name.ends_with(it))
    {
        return Err(ResolveError::Python { name: quoted(&name) });
    }
    Err(ResolveError::NotFound { name, tried, near })
}

fn is_there(path: &Path) -> bool {
    let absent = [
        ErrorKind::NotFound,
        ErrorKind::NotADirectory,
        ErrorKind::InvalidFilename,
        ErrorKind::InvalidInput,
    ];
    !matches!(fs::metadata(path), Err(error) if absent.contains(&error.kind()))
}

impl ResolveError {
    /// Whether it is safe to ignore the entry.
    pub(super) fn is_harmless(&self) -> bool {
        matches!(self, Self::LitellmObserver { .. })
    }

    /// Whether the entry protects, in whatever list it stands.
    pub(super) fn protects(&self) -> bool {
        matches!(self, Self::LitellmBuiltIn { .. })
    }
}

/// Protective callbacks of LiteLLM's, and the shipped callback that replaces each.
const REPLACED: &[(&str, &str)] = &[
    ("dynamic_rate_limiter", "rate_limit"),
    ("dynamic_rate_limiter_v3", "rate_limit"),
    ("hide_secrets", "guardrail"),
    ("parallel_request_limiter", "rate_limit"),
    ("parallel_request_limiter_v3", "rate_limit"),
    ("presidio", "guardrail"),
];

/// LiteLLM's built-in callbacks that refuse, change or count calls.
const LITELLM_GUARDS: &[&str] = &[
    "aim",
    "aporia",
    "aporia_prompt_injection",
    "azure_content_safety",
    "banned_keywords",
    "batch_redis_requests",
    "bedrock",
    "blocked_user_check",
    "cache_control_check",
    "detect_prompt_injection",
    "dynamic_rate_limiter",
    "dynamic_rate_limiter_v3",
    "google_text_moderation",
    "guardrails_ai",
    "hide_secrets",
    "lakera",
    "lakera_prompt_injection",
    "lakera_v2",
    "llamaguard_moderations",
    "llmguard_moderations",
    "managed_files",
    "max_budget_limiter",
    "max_iterations_limiter",
    "openai_moderations",
    "parallel_request_limiter",
    "parallel_request_limiter_v3",
    "presidio",
    "responses_id_security",
    "vector_store_pre_call_hook",
];

/// LiteLLM's built-in callbacks that only observe, by their names in configs.
const LITELLM_OBSERVERS: &[&str] = &[
    "agentops",
    "argilla",
    "arize",
    "arize_phoenix",
    "athina",
    "azure_sentinel",
    "azure_storage",
    "braintrust",
    "cloudzero",
    "custom_callback_api",
    "datadog",
    "datadog_llm_observability",
    "deepeval",
    "dynamodb",
    "email",
    "galileo",
    "gcs_bucket",
    "gcs_pubsub",
    "generic_api",
    "greenscale",
    "helicone",
    "humanloop",
    "lago",
    "langfuse",
    "langfuse_otel",
    "langtrace",
    "levo",
    "literalai",
    "logfire",
    "lunary",
    "mlflow",
    "openmeter",
    "opik",
    "otel",
    "pagerduty",
    "posthog",
    "prometheus",
    "promptlayer",
    "resend_email",
    "s3",
    "s3_v2",
    "sentry",
    "slack",
    "smtp_email",
    "sqs",
    "supabase",
    "traceloop",
    "wandb",
    "weave_otel",
];
