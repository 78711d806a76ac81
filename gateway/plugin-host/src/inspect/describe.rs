//! Describes a file without executing it, with every reason why this gateway could not load it. For
//! `callgate plugin inspect`, `list` and `check`; a start stops at the first reason and does not
//! use this.

use super::{InspectError, Root, elf, export, file, hex};
use crate::hook::Hook;
use plugin_api::manifest::{Exported, Manifest};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// The facts about a file, as far as it can be read.
#[derive(Debug, Default, Serialize)]
pub struct PluginInfo {
    /// The path as given.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// In hex; empty if the file cannot be read.
    pub sha256: String,
    /// `64-bit shared object`, or another kind; `None` if it is not an ELF file.
    pub kind: Option<String>,
    /// The processor that it was built for.
    pub machine: Option<String>,
    /// The oldest glibc that it can run with.
    pub glibc: Option<String>,
    /// The shared objects it needs.
    pub needs: Vec<String>,
    /// The cargo package it was built from.
    pub package: Option<String>,
    /// The package's version.
    pub version: Option<String>,
    /// The ABI version it was built against.
    pub abi: Option<String>,
    /// The oldest ABI version that it accepts.
    pub min_api: Option<String>,
    /// The callbacks it exports.
    pub callbacks: Vec<CallbackInfo>,
    /// Whether a start would accept it, up to executing its code.
    pub loadable: bool,
    /// Why it is not loadable.
    pub reasons: Vec<Reason>,
    /// The warnings that a start would log.
    pub warnings: Vec<Reason>,
}

/// One callback, from its manifest.
#[derive(Debug, Serialize)]
pub struct CallbackInfo {
    /// Its name in the config's list.
    pub name: String,
    /// `sync` or `async`.
    pub kind: String,
    /// The hooks it lists.
    pub hooks: Vec<String>,
    /// The inputs of `on_auth`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub auth_headers: Vec<String>,
    /// The parts of the call that it reads.
    pub reads: Vec<String>,
    /// The parts of the call that it changes.
    pub writes: Vec<String>,
    /// The variables it asks for.
    pub needs_secrets: Vec<String>,
    /// The hosts it asks for: `VARIABLE=URL`, with the host of the variable's URL, or of this URL
    /// if the variable is not set.
    pub needs_http_hosts: Vec<String>,
    /// A JSON Schema.
    pub settings_schema: Value,
    /// Example settings, if its author supplied any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_settings: Option<Value>,
}

/// Why a file cannot or should not be used.
#[derive(Debug, Serialize)]
pub struct Reason {
    /// The text: `expected …, found …`.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

impl From<InspectError> for Reason {
    fn from(error: InspectError) -> Self {
        Self { text: error.to_string(), remedy: error.remedy() }
    }
}

impl PluginInfo {
    /// Reads a file. Anything unreadable becomes a reason, never an error.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let mut info = Self { file: path.to_owned(), ..Self::default() };
        match file::read(path) {
            Ok(bytes) => info.read(&bytes),
            Err(error) => info.refuse(error),
        }
        let unwise = file::permissions(path).into_iter();
        info.warnings.extend(unwise.map(|unwise| InspectError::from(unwise).into()));
        info.loadable = info.reasons.is_empty();
        info
    }

    fn refuse(&mut self, error: impl Into<InspectError>) {
        self.reasons.push(error.into().into());
    }

    fn read(&mut self, bytes: &[u8]) {
        self.size = bytes.len() as u64;
        self.sha256 = hex(&Sha256::digest(bytes));
        let facts = elf::facts(bytes);
        (self.kind, self.machine, self.needs) = (facts.kind, facts.machine, facts.needs);
        self.glibc = facts.glibc.map(|(major, minor)| format!("{major}.{minor}"));
        facts.errors.into_iter().for_each(|error| self.refuse(error));
        let Some(section) = facts.manifest else { return };
        match Manifest::parse(&section) {
            Ok(manifest) => self.describe(manifest, facts.root),
            Err(error) => self.refuse(export::ExportError::Manifest(error)),
        }
    }

    fn describe(&mut self, manifest: Manifest, root: Option<Root>) {
        let Manifest { header, callbacks } = manifest;
        if root == Some(Root::C)
            && let Err(error) = export::check_c(&callbacks)
        {
            self.refuse(error);
        }
        if let Err(error) = export::check_api(&header) {
            self.refuse(error);
        }
        self.abi = Some(header.api.to_string());
        self.min_api = Some(header.min_api.to_string());
        (self.package, self.version) = (Some(header.package), Some(header.version));
        for callback in &callbacks {
            self.judge(callback);
        }
        self.callbacks = callbacks.into_iter().map(CallbackInfo::from).collect();
    }

    fn judge(&mut self, callback: &Exported) {
        if let Err(error) = export::check_kind(callback) {
            self.refuse(error);
        }
        let name = &callback.name;
        if let Err(error) = jsonschema::validator_for(&callback.settings_schema) {
            self.reasons.push(Reason {
                text: format!("`{name}` has a broken settings schema: {error}"),
                remedy: "correct `settings_schema` of `export_callbacks!`".to_owned(),
            });
        }
        let known = |hook: &&String| Hook::ALL.iter().any(|known| known.name() == hook.as_str());
        for hook in callback.hooks.iter().filter(|hook| !known(hook)) {
            self.warnings.push(Reason {
                text: format!("`{name}` lists the hook `{hook}`, which this gateway never calls"),
                remedy: "use a gateway that has it".to_owned(),
            });
        }
    }
}

impl From<Exported> for CallbackInfo {
    fn from(exported: Exported) -> Self {
        Self {
            name: exported.name,
            kind: exported.kind,
            hooks: exported.hooks,
            auth_headers: exported.auth_headers,
            reads: exported.reads,
            writes: exported.writes,
            needs_secrets: exported.needs_secrets,
            needs_http_hosts: exported.needs_http_hosts,
            settings_schema: exported.settings_schema,
            sample_settings: exported.sample_settings,
        }
    }
}
