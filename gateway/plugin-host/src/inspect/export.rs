//! Compares the manifest with the gateway and the config: the ABI version, and which callback is
//! meant.

use callgate_config::{CallbackEntry, closest};
use plugin_api::{
    abi::{ApiVersion, serve::majors_match},
    manifest::{Exported, Header, ManifestError},
};
use thiserror::Error;

/// Why a plugin's manifest does not fit.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ExportError {
    #[error(transparent)]
    Manifest(ManifestError),
    #[error("expected ABI {}.x, found a plugin built for ABI {found}", ours.major)]
    Major { ours: ApiVersion, found: ApiVersion },
    #[error(
        "expected a plugin that runs with ABI {ours}, found one that needs {needed} or later{}",
        gateway.as_ref().map(|it| format!(", which callgate {it} has")).unwrap_or_default()
    )]
    TooNew { ours: ApiVersion, needed: ApiVersion, gateway: Option<String> },
    #[error("expected a callback called `{wanted}`, found {}", list(found))]
    NoSuchCallback { wanted: String, found: Vec<String>, by_path: bool },
    #[error("expected a callback of kind `sync` or `async`, found `{0}`")]
    Kind(String),
    #[error(
        "expected the hooks of a sync callback, found `on_llm_during`, which only async ones have"
    )]
    WaitingHook,
    #[error("expected the hook `on_auth` with `auth_headers`, its inputs, found {0}")]
    Auth(String),
    #[error("expected a plugin in C to have one callback, of kind `sync`, found {0}")]
    C(String),
}

impl ExportError {
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Manifest(_) => {
                "see that `settings_schema` and `sample_settings` in its export are JSON, and build it again"
                    .to_owned()
            }
            Self::Kind(_) => {
                "export the callback with `export_callbacks!` of the crate `callgate-plugin-api`"
                    .to_owned()
            }
            Self::WaitingHook => {
                "take it off `hooks`, or export an `AsyncCallback` with `kind: async`".to_owned()
            }
            Self::Major { ours, .. } => {
                format!("rebuild the plugin with `callgate-plugin-api` {}", ours.major)
            }
            Self::TooNew { needed, gateway, .. } => {
                let newer = match gateway {
                    Some(version) => format!("use callgate {version} or later"),
                    None => format!("use a gateway that speaks ABI {needed}"),
                };
                let this = env!("CARGO_PKG_VERSION");
                format!("{newer} instead of {this}, or an older build of the plugin")
            }
            Self::Auth(_) => {
                "export it with `auth_headers` after `hooks`: names of headers in lower case, \
                 `:method`, `:path` and `:client_address`"
                    .to_owned()
            }
            Self::C(_) => "export each from its own file, or write it in Rust".to_owned(),
            Self::NoSuchCallback { wanted, found, by_path } => {
                let near = closest(wanted, found.iter().map(String::as_str));
                let name = near.or(found.first().map(String::as_str)).unwrap_or_default();
                if *by_path {
                    format!("say which one is meant: `{{name: {name}, path: …}}`")
                } else {
                    format!("list it as `{{name: {name}, path: …}}` with the path of this file")
                }
            }
        }
    }
}

fn list(names: &[String]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// An older plugin runs in every newer gateway of the same major version; a newer plugin only if it
/// says so.
pub(super) fn check_api(header: &Header) -> Result<(), ExportError> {
    let ours = ApiVersion::CURRENT;
    if !majors_match(ours, header.api) {
        return Err(ExportError::Major { ours, found: header.api });
    }
    if header.min_api > ours {
        let gateway = header.min_gateway.clone();
        return Err(ExportError::TooNew { ours, needed: header.min_api, gateway });
    }
    Ok(())
}

/// The callback of this name.
pub(super) fn named(callbacks: Vec<Exported>, wanted: &str) -> Result<Exported, ExportError> {
    let names = || callbacks.iter().map(|callback| callback.name.clone());
    let found: Vec<_> = names().collect();
    let wanted = wanted.to_owned();
    let named = callbacks.into_iter().find(|callback| callback.name == wanted);
    named.ok_or(ExportError::NoSuchCallback { wanted, found, by_path: false })
}

/// The table of a plugin in C has the hooks of one callback, and no futures.
pub(super) fn check_c(callbacks: &[Exported]) -> Result<(), ExportError> {
    match callbacks {
        [one] if one.kind == "sync" => Ok(()),
        [one] => Err(ExportError::C(format!("one of kind `{}`", one.kind))),
        more => Err(ExportError::C(format!("{} of them", more.len()))),
    }
}

/// The callback that the entry names by its last part, else by its module; for a file given by its
/// path, its only callback.
pub(super) fn choose(
    mut callbacks: Vec<Exported>,
    entry: &CallbackEntry,
) -> Result<Exported, ExportError> {
    let by_path = entry.file.is_some();
    let called = |name: &str| callbacks.iter().position(|callback| callback.name == name);
    let named = called(&entry.name).or_else(|| called(entry.module()?));
    let Some(index) = named.or((by_path && callbacks.len() == 1).then_some(0)) else {
        let found = callbacks.into_iter().map(|callback| callback.name).collect();
        return Err(ExportError::NoSuchCallback { wanted: entry.name.clone(), found, by_path });
    };
    let callback = callbacks.swap_remove(index);
    check_kind(&callback)?;
    check_auth(&callback)?;
    Ok(callback)
}

/// The most inputs of an authenticator.
const MOST_AUTH_INPUTS: usize = 32;

/// An authenticator has inputs, by which its results are kept, and nobody else has.
pub(super) fn check_auth(callback: &Exported) -> Result<(), ExportError> {
    let inputs = &callback.auth_headers;
    let authenticates = callback.hooks.iter().any(|hook| hook == "on_auth");
    let found = match inputs.iter().find(|name| !is_auth_input(name)) {
        _ if inputs.len() > MOST_AUTH_INPUTS => format!("{} inputs", inputs.len()),
        Some(wrong) => format!("the input `{wrong}`"),
        None if authenticates == inputs.is_empty() => {
            format!("only the {}", if authenticates { "hook" } else { "inputs" })
        }
        None => return Ok(()),
    };
    Err(ExportError::Auth(found))
}

fn is_auth_input(name: &str) -> bool {
    let is_plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    [":method", ":path", ":client_address"].contains(&name)
        || (!name.is_empty() && name.bytes().all(is_plain))
}

pub(super) fn check_kind(callback: &Exported) -> Result<(), ExportError> {
    match callback.kind.as_str() {
        "sync" if callback.hooks.iter().any(|hook| hook == "on_llm_during") => {
            Err(ExportError::WaitingHook)
        }
        "sync" | "async" => Ok(()),
        other => Err(ExportError::Kind(other.to_owned())),
    }
}
