//! A plugin's shared object in this process: opened, layout-checked, never closed.
//!
//! Closing is unsound for a library that has touched a thread-local of its own standard library, so
//! the handle, its snapshot and even a refused library are kept forever.

#![expect(unsafe_code, reason = "dlopen, and trusting what was found there after the layout check")]

use super::{
    c::CTables,
    crash_context::CrashContext,
    layout,
    library_error::LibraryError,
    names::{DESCRIBE, LOAD, ROOT_SYMBOL},
};
use crate::{
    inspect::{Inspected, Root},
    snapshot::Snapshot,
};
use abi_stable::{
    library::AbiHeaderRef,
    std_types::{RErr, ROk},
};
use libloading::os::unix::{Library as Handle, RTLD_LOCAL, RTLD_NOW};
use plugin_api::abi::{
    ApiVersion, C_ROOT_SYMBOL, CHost, CRoot, CallbackVtRef, CreateArgs, PluginRootRef, RawCallback,
    View,
};
use std::{
    collections::HashMap,
    error::Error as _,
    ffi::c_int,
    fmt,
    mem::ManuallyDrop,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// From `dlfcn.h`: the library stays mapped, even if its handle is closed.
const RTLD_NODELETE: c_int = 0x1000;

/// A mapped plugin.
pub(super) struct Library {
    tables: Tables,
    /// The linker identifies the library by this path, so it must never name another file.
    _snapshot: Snapshot,
}

impl fmt::Debug for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Library").finish_non_exhaustive()
    }
}

/// A plugin's root after all checks.
enum Tables {
    Rust(PluginRootRef),
    C(CTables),
}

/// A new live callback without an owner.
pub(super) struct Created {
    pub(super) raw: RawCallback,
    /// The C host that was created for it; keep it until the callback is destroyed.
    pub(super) c_host: Option<Arc<CHost>>,
}

type MapResult = Result<&'static Library, LibraryError>;

/// Every file that was ever mapped, by the hash of its bytes; refused ones too, so that they are
/// not mapped again. Locked while a file is mapped, and thus while its constructors run, which may
/// hang.
static MAPPED: Mutex<Option<HashMap<[u8; 32], MapResult>>> = Mutex::new(None);

/// The number of files in [`MAPPED`], for those who must not wait for its lock.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The number of different mapped files. They stay until the process ends (about 0.4 MB each).
#[must_use]
pub fn mapped_libraries() -> usize {
    COUNT.load(Relaxed)
}

/// Whether the file with this hash is mapped.
pub(super) fn is_mapped(sha256: &[u8; 32]) -> bool {
    let mapped = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
    mapped.as_ref().is_some_and(|mapped| mapped.contains_key(sha256))
}

impl Library {
    /// The library with these bytes; mapped by the first caller. Reports each step in advance,
    /// because from here on a broken plugin can crash the process.
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
        // A file that could not be opened is not mapped, and may be another time: the library that
        // it needs may be installed meanwhile.
        let outcome = match examined {
            Ok(tables) => Ok(&*Box::leak(Box::new(Self { tables, _snapshot: snapshot }))),
            Err(error) => {
                std::mem::forget(snapshot);
                Err(error)
            }
        };
        mapped.insert(inspected.sha256, outcome.clone());
        COUNT.store(mapped.len(), Relaxed);
        outcome
    }

    /// Creates an instance, or returns why not.
    ///
    /// # Safety
    /// The views live until this returns, the host until the instance has been destroyed.
    pub(super) unsafe fn create(&self, args: CreateArgs) -> Result<Created, String> {
        match &self.tables {
            // SAFETY: the caller's promise holds here, too.
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

    /// A callback's table with all hooks in its code; `None` for an unknown callback.
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

/// Opens it from sealed memory, or from a private file if the system does not execute memory files.
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

/// Whether the linker failed because of the copy's location, not its content. No code has run.
fn is_about_the_copy(error: &LibraryError) -> bool {
    let LibraryError::Open(why) = error else { return false };
    why.contains("failed to map segment") || why.starts_with("cannot open shared object file")
}

fn open_at(path: &Path) -> Result<ManuallyDrop<Handle>, LibraryError> {
    // SAFETY: there is no guarantee: the library's constructors run here with all rights of the
    // gateway. The operator chose the file, and `inspect` found a complete plugin for this machine.
    let handle = unsafe { Handle::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) };
    handle.map(ManuallyDrop::new).map_err(|error| {
        let why = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        // The linker's text names the copy, which means nothing to the operator.
        LibraryError::Open(why.replace(&format!("{}: ", path.display()), ""))
    })
}

fn examine(handle: &Handle, inspected: &Inspected) -> Result<Tables, LibraryError> {
    match inspected.root {
        Root::Rust => examine_root(handle, inspected).map(Tables::Rust),
        Root::C => {
            // SAFETY: `inspect` found a function of this name, whose type the header fixes.
            let root = unsafe { handle.get::<CRoot>(C_ROOT_SYMBOL) };
            let root = *root.map_err(|error| LibraryError::CTable {
                ours: ApiVersion::CURRENT,
                found: error.to_string(),
            })?;
            // SAFETY: the library is never unloaded, and is known to be a plugin.
            unsafe { CTables::of(root, inspected) }.map(Tables::C)
        }
    }
}

/// Goes from the exported symbol to the plugin's tables, one check at a time.
fn examine_root(handle: &Handle, inspected: &Inspected) -> Result<PluginRootRef, LibraryError> {
    // SAFETY: the pointer has at least 40 bytes behind it (`inspect` checked the symbol's size);
    // `upgrade` reads only the frozen header until that is found valid.
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
    // SAFETY: the layout of the root and of all it refers to has just been checked.
    let root = unsafe { header.unchecked_layout::<PluginRootRef>() };
    let root = root.map_err(|error| LibraryError::Root(error.to_string().trim().to_owned()))?;
    let says = (root.manifest())();
    if root.api() != inspected.header.api || says.as_bytes() != inspected.section {
        return Err(LibraryError::Manifest);
    }
    Ok(root)
}
