//! A plugin's shared object in this process: opened, layout-checked, never closed.
//!
//! Closing is unsound for any library that ever touched a thread-local of its own standard library,
//! so the handle, its snapshot and even a library that was refused are kept for ever.

#![expect(unsafe_code, reason = "dlopen, and trusting what was found there after the layout check")]

use std::collections::HashMap;
use std::error::Error as _;
use std::ffi::{CStr, c_int};
use std::fmt;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use abi_stable::library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME};
use abi_stable::std_types::{RErr, ROk};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use plugin_api::abi::{
    ApiVersion, C_ROOT_SYMBOL, CHost, CRoot, CallbackVtRef, CreateArgs, PluginRootRef, RawCallback,
    View,
};
use thiserror::Error;

use super::c::CTables;
use super::crash_context::CrashContext;
use super::layout;
use crate::inspect::{Inspected, Root};
use crate::snapshot::Snapshot;

/// The symbol every plugin exports.
pub(crate) const ROOT_SYMBOL: &str = ROOT_MODULE_LOADER_NAME;

/// The steps of loading, as they follow "it crashed".
pub(crate) const LOAD: &str = "while being loaded";
pub(crate) const DESCRIBE: &str = "while its tables were read";

/// From `dlfcn.h`: whatever is dropped, the library stays mapped.
const RTLD_NODELETE: c_int = 0x1000;

/// Why a file that looks like a plugin cannot be used as one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum LibraryError {
    #[error("expected to make a private copy of it: {0}")]
    Snapshot(String),
    #[error("the dynamic linker refuses it: {0}")]
    Open(String),
    #[error("expected tables of abi_stable 0.11, found others: {0}")]
    Header(String),
    #[error("expected the tables of ABI {ours}, found others: {differences}")]
    Layout { ours: ApiVersion, differences: String },
    #[error("its tables could not be made: {0}")]
    Root(String),
    #[error("expected the manifest in its file, found another one when it was loaded")]
    Manifest,
    #[error("expected `{C_ROOT_SYMBOL}` to return a table of ABI {ours}, found {found}")]
    CTable { ours: ApiVersion, found: String },
}

impl LibraryError {
    pub(crate) fn remedy(&self) -> String {
        match self {
            Self::Snapshot(_) => "let the gateway write to its temporary folder (`TMPDIR`)",
            Self::Open(why) if why.contains("cannot open shared object file") => {
                "install the library it needs"
            }
            Self::Open(why) if why.contains("failed to map segment") => {
                "let `TMPDIR` name a folder that is not mounted `noexec`"
            }
            Self::Open(_) => "rebuild the plugin on a system like this one",
            Self::Header(_) | Self::Layout { .. } | Self::Root(_) | Self::Manifest => {
                "rebuild the plugin with the current `callgate-plugin-api`"
            }
            Self::CTable { .. } => "rebuild the plugin with the current `callgate_plugin.h`",
        }
        .to_owned()
    }
}

/// A mapped plugin.
pub(super) struct Library {
    tables: Tables,
    /// The linker knows the library by this path: it must never mean another file.
    _snapshot: Snapshot,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

/// A plugin's root, found to fit.
enum Tables {
    Rust(PluginRootRef),
    C(CTables),
}

/// A live callback that nobody owns yet.
pub(super) struct Created {
    pub(super) raw: RawCallback,
    /// What it was given of its own host; to be kept until it has been destroyed.
    pub(super) c_host: Option<Arc<CHost>>,
}

type MapResult = Result<&'static Library, LibraryError>;

/// Every file that was ever mapped, by the hash of its bytes; also those that were refused, so that
/// trying again does not map them again.
static MAPPED: Mutex<Option<HashMap<[u8; 32], MapResult>>> = Mutex::new(None);

/// How many different files are mapped. They stay until the process ends (about 0.4 MB each).
#[must_use]
pub fn mapped_libraries() -> usize {
    let mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
    mapped.as_ref().map_or(0, HashMap::len)
}

impl Library {
    /// The library of these bytes; mapped at the first call.
    /// Says each step before it, for a broken plugin can take the process down from here on.
    pub(super) fn of(
        inspected: &Inspected,
        snapshot: Snapshot,
        step: &mut dyn FnMut(&'static str),
    ) -> MapResult {
        let mut mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
        let mapped = mapped.get_or_insert_default();
        if let Some(known) = mapped.get(&inspected.sha256) {
            return known.clone();
        }
        tracing::debug!(
            target: "callgate::callbacks::loader::library",
            "loading `{}`", inspected.file.display()
        );
        let file = inspected.file.to_string_lossy();
        // SAFETY: both texts outlive the two visits.
        let visit = |place| unsafe { CrashContext::new(&file, place, "") };
        step(LOAD);
        let (handle, snapshot) = visit(LOAD).enter(|| open(inspected, snapshot))?;
        step(DESCRIBE);
        let examined = visit(DESCRIBE).enter(|| examine(&handle, inspected));
        let outcome = match examined {
            Ok(tables) => Ok(&*Box::leak(Box::new(Self { tables, _snapshot: snapshot }))),
            Err(error) => {
                std::mem::forget(snapshot);
                Err(error)
            }
        };
        mapped.insert(inspected.sha256, outcome.clone());
        outcome
    }

    /// Makes an instance, or says why not.
    ///
    /// # Safety
    /// The views live until this returns, the host until the instance has been destroyed.
    pub(super) unsafe fn create(&self, args: CreateArgs) -> Result<Created, String> {
        match &self.tables {
            // SAFETY: passed on to the caller.
            Tables::Rust(root) => match unsafe { (root.create())(args) } {
                ROk(raw) => Ok(Created { raw, c_host: None }),
                RErr(message) => Err(message.into()),
            },
            Tables::C(tables) => {
                let host = Arc::new(CHost::of(args.host));
                // SAFETY: as above; the host is kept beside the instance.
                let raw = unsafe { tables.create(args, Arc::as_ptr(&host)) }?;
                Ok(Created { raw, c_host: Some(host) })
            }
        }
    }

    /// The table of a callback with all hooks that are in its code; `None` for an unknown one.
    pub(super) fn all_hooks(&self, callback: &str) -> Option<CallbackVtRef> {
        match &self.tables {
            Tables::Rust(root) => {
                // SAFETY: the view outlives the call.
                unsafe { (root.all_hooks())(View::of(callback.as_bytes())) }.into()
            }
            Tables::C(tables) => Some(tables.all_hooks()),
        }
    }
}

/// From sealed memory; where the system does not execute that, from a private file.
fn open(
    inspected: &Inspected,
    snapshot: Snapshot,
) -> Result<(ManuallyDrop<Handle>, Snapshot), LibraryError> {
    match open_at(snapshot.path()) {
        Ok(handle) => return Ok((handle, snapshot)),
        Err(error) if !snapshot.is_in_memory() || !is_about_the_copy(&error) => return Err(error),
        Err(error) => tracing::debug!(
            target: "callgate::callbacks::loader::library",
            "not executable from memory: {error}"
        ),
    }
    let snapshot = Snapshot::on_disk(&inspected.file_name(), &inspected.bytes)
        .map_err(|error| LibraryError::Snapshot(error.to_string()))?;
    Ok((open_at(snapshot.path())?, snapshot))
}

/// Whether the linker stumbled over where the copy lies, not over what is in it: no code has run.
fn is_about_the_copy(error: &LibraryError) -> bool {
    let LibraryError::Open(why) = error else { return false };
    why.contains("failed to map segment") || why.starts_with("cannot open shared object file")
}

fn open_at(path: &Path) -> Result<ManuallyDrop<Handle>, LibraryError> {
    // SAFETY: none can be given: a library's constructors run here, with all the gateway's rights.
    // The operator named the file, and `inspect` found it to be a whole plugin for this machine.
    let handle = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    handle.map(ManuallyDrop::new).map_err(|error| {
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        // The linker names the copy, which tells the operator nothing.
        LibraryError::Open(why.replace(&format!("{}: ", path.display()), ""))
    })
}

fn examine(handle: &Handle, inspected: &Inspected) -> Result<Tables, LibraryError> {
    match inspected.root {
        Root::Rust => examine_root(handle, inspected).map(Tables::Rust),
        Root::C => {
            // SAFETY: `inspect` found a function of that name, and the header gives it one type.
            let root = unsafe { handle.get::<CRoot>(C_ROOT_SYMBOL) };
            let root = *root.map_err(|error| LibraryError::CTable {
                ours: ApiVersion::CURRENT,
                found: error.to_string(),
            })?;
            // SAFETY: it is never unloaded, and has been found to be a plugin's.
            unsafe { CTables::of(root, inspected) }.map(Tables::C)
        }
    }
}

/// From the exported symbol to the plugin's tables, each step only after the one before held.
fn examine_root(handle: &Handle, inspected: &Inspected) -> Result<PluginRootRef, LibraryError> {
    // SAFETY: a pointer to at least 40 bytes (`inspect` looked at the symbol's size), of which
    // `upgrade` reads nothing but the frozen header until that has been found valid.
    let header = unsafe { handle.get::<AbiHeaderRef>(ROOT_SYMBOL) };
    let header = *header.map_err(|error| LibraryError::Header(error.to_string()))?;
    let found = (header.abi_major, header.abi_minor);
    let header = header.upgrade().map_err(|error| {
        tracing::debug!(target: "callgate::callbacks::loader::library", "{error}");
        LibraryError::Header(format!("its header says {}.{}", found.0, found.1))
    })?;
    let differ = |differences| LibraryError::Layout { ours: ApiVersion::CURRENT, differences };
    let theirs = header.layout().ok_or_else(|| differ("no layout at all".to_owned()))?;
    layout::check(theirs).map_err(differ)?;
    // SAFETY: the layout of the root and of everything reachable from it has just been checked.
    let root = unsafe { header.unchecked_layout::<PluginRootRef>() };
    let root = root.map_err(|error| LibraryError::Root(error.to_string().trim().to_owned()))?;
    let says = (root.manifest())();
    if root.api() != inspected.header.api || says.as_bytes() != inspected.section {
        return Err(LibraryError::Manifest);
    }
    Ok(root)
}

/// The version of the glibc in this process; `None` with another C library.
pub(crate) fn glibc_version() -> Option<(u32, u32)> {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            safe fn gnu_get_libc_version() -> *const std::ffi::c_char;
        }
        // SAFETY: glibc returns a constant string.
        let version = unsafe { CStr::from_ptr(gnu_get_libc_version()) };
        crate::inspect::parse_glibc(version.to_str().ok()?)
    }
    #[cfg(not(target_env = "gnu"))]
    None
}
