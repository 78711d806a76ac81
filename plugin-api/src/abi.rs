//! All types that cross the boundary between the gateway and a plugin.
//!
//! Only the gateway's loader and the export macro use this module. Callback authors use the traits
//! and views of the crate root, which wrap it. The loader checks the layout of these types when it
//! loads a plugin, so **every name, order and type here is part of the ABI**:
//!
//! - structs passed by value ([`View`], [`CallHandle`], …) are frozen for the whole major version;
//! - tables (`…Vt`) may only grow at their end, after the `last_prefix_field` mark, which never
//!   moves;
//! - kinds are `#[repr(transparent)]` numbers with constants, so that unknown values are
//!   representable.

// The `StableAbi` derives write unsafe impls; `shim` and `serve` hold the calls across the
// boundary.
#![allow(unsafe_code, missing_debug_implementations, unreachable_pub)]

mod auth;
mod c;
mod call;
mod host;
#[cfg(test)]
mod layout;
mod model_list;
pub mod serve;
pub mod shim;

use abi_stable::{
    StableAbi,
    library::RootModule,
    package_version_strings,
    sabi_types::VersionStrings,
    std_types::{ROption, RResult, RStr, RString},
};
use async_ffi::FfiFuture;
pub use auth::*;
pub use c::*;
pub use call::*;
pub use host::*;
pub use model_list::*;

/// The version of the contract that a binary was compiled against. It is the version of this
/// package.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    /// A different major never loads.
    pub major: u16,
    /// A plugin with a higher minor loads if the host meets its manifest's `min_api`.
    pub minor: u16,
}

impl ApiVersion {
    /// The version of this crate.
    pub const CURRENT: Self = Self { major: 1, minor: 1 };
}

/// Borrowed bytes, valid until the hook returns or edits something. A null pointer means "absent",
/// which is not the same as empty.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct View {
    ptr: *const u8,
    len: usize,
}

impl View {
    /// The view for a value that does not exist.
    pub const ABSENT: Self = Self { ptr: std::ptr::null(), len: 0 };

    /// Returns a view of `bytes`, valid as long as they are.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// Returns a view of `text`, or [`View::ABSENT`].
    #[must_use]
    pub fn of_option(text: Option<&str>) -> Self {
        text.map_or(Self::ABSENT, |text| Self::of(text.as_bytes()))
    }

    /// Returns the bytes, or `None` if they are absent.
    ///
    /// # Safety
    /// The bytes must live and stay unchanged for `'a`.
    #[must_use]
    pub unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: a non-null view came from a slice that the caller vouches for.
        (!self.ptr.is_null()).then(|| unsafe { std::slice::from_raw_parts(self.ptr, self.len) })
    }

    /// Returns the text, or `None` if it is absent or not UTF-8.
    ///
    /// # Safety
    /// See [`View::bytes`].
    #[must_use]
    pub unsafe fn text<'a>(self) -> Option<&'a str> {
        // SAFETY: passed on to the caller.
        unsafe { self.bytes() }.and_then(|bytes| std::str::from_utf8(bytes).ok())
    }
}

/// The decision of a hook. Unknown numbers count as [`Verdict::FAULT`].
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(pub u32);

impl Verdict {
    /// Continue with the next callback.
    pub const CONTINUE: Self = Self(0);
    /// The callback answers the call itself, with the answer passed to `CallVt::reply`.
    pub const REPLY: Self = Self(1);
    /// The callback rejects the call, with the reason passed to `CallVt::reject`.
    pub const REJECT: Self = Self(2);
    /// The callback failed, with the message passed to `CallVt::fault`.
    pub const FAULT: Self = Self(3);
    /// The trait's default body ran. Counts as [`Verdict::CONTINUE`]; only `check` distinguishes
    /// it.
    pub const NOT_IMPLEMENTED: Self = Self(4);
    /// A fault by a panic, after which the instance's data may be half changed. See
    /// [`Verdict::FAULT`].
    pub const PANIC: Self = Self(5);
}

/// The outcome of an edit.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditResult(pub u32);

impl EditResult {
    /// Done.
    pub const OK: Self = Self(0);
    /// The text is not UTF-8.
    pub const NOT_UTF8: Self = Self(1);
    /// The value is not JSON, or is not an object although one is needed.
    pub const NOT_JSON: Self = Self(2);
    /// The message, header or parameter does not exist.
    pub const NOT_FOUND: Self = Self(3);
    /// The value has the wrong kind for this edit.
    pub const WRONG_KIND: Self = Self(4);
    /// This hook runs too late for the edit.
    pub const TOO_LATE: Self = Self(5);
    /// The edit exceeds one of the gateway's limits.
    pub const TOO_LARGE: Self = Self(6);
    /// The value is not allowed there (a header name with a space, an unknown provider).
    pub const NOT_ALLOWED: Self = Self(7);
}

/// The table that a plugin exports, behind the one symbol that the gateway looks for.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(option))]
pub struct PluginRoot {
    /// The contract that the plugin was compiled against.
    pub api: ApiVersion,
    /// The manifest, byte for byte as in the file's `.callgate.manifest` section.
    pub manifest: extern "C" fn() -> RStr<'static>,
    /// Makes an instance of one of the file's callbacks, or returns the reason why it cannot.
    pub create: unsafe extern "C" fn(CreateArgs) -> RResult<RawCallback, RString>,
    /// Returns the table of a callback with *all* hooks, also those that the manifest does not
    /// list. For `check`.
    #[sabi(last_prefix_field)]
    pub all_hooks: unsafe extern "C" fn(View) -> ROption<CallbackVtRef>,
}

impl RootModule for PluginRootRef {
    abi_stable::declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "callgate_plugin";
    const NAME: &'static str = "callgate_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// The arguments of [`PluginRoot::create`]; the views live until it returns.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct CreateArgs {
    /// The callback's name in the manifest.
    pub callback: View,
    /// The instance's name in the config; unique in the chain.
    pub instance: View,
    /// The settings: one JSON object.
    pub settings: View,
    /// The host's services, valid until `destroy` has returned and the instance's tasks have ended.
    pub host: HostHandle,
}

/// A live callback instance.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawCallback {
    /// The instance. Only the functions of its own table may access it.
    pub ctx: *mut (),
    /// Its functions.
    pub vt: CallbackVtRef,
}

/// A callback's functions. Hooks may run concurrently on any thread. `destroy` runs last, once, on
/// a thread that may block. A missing hook costs nothing.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = CallbackVtRef)))]
#[sabi(missing_field(option))]
pub struct CallbackVt {
    /// Drops the instance.
    pub destroy: unsafe extern "C" fn(*mut ()),
    /// Called once before `destroy`, when no new call will come.
    pub shutdown: unsafe extern "C" fn(*const ()),
    /// The sync hooks.
    pub on_llm_start: Option<unsafe extern "C" fn(*const (), CallHandle) -> Verdict>,
    /// See `on_llm_start`.
    pub on_llm_new_token:
        Option<unsafe extern "C" fn(*const (), CallHandle, ChunkHandle) -> Verdict>,
    /// See `on_llm_start`.
    pub on_llm_end: Option<unsafe extern "C" fn(*const (), CallHandle, ReplyHandle) -> Verdict>,
    /// See `on_llm_start`.
    pub on_llm_error: Option<unsafe extern "C" fn(*const (), CallHandle, FailureHandle) -> Verdict>,
    /// The async hooks: the future borrows the instance and the handles until it is dropped.
    pub on_llm_start_async:
        Option<unsafe extern "C" fn(*const (), CallHandle) -> FfiFuture<Verdict>>,
    /// See `on_llm_start_async`.
    pub on_llm_new_token_async:
        Option<unsafe extern "C" fn(*const (), CallHandle, ChunkHandle) -> FfiFuture<Verdict>>,
    /// See `on_llm_start_async`.
    pub on_llm_end_async:
        Option<unsafe extern "C" fn(*const (), CallHandle, ReplyHandle) -> FfiFuture<Verdict>>,
    /// See `on_llm_start_async`.
    #[sabi(last_prefix_field)]
    pub on_llm_error_async:
        Option<unsafe extern "C" fn(*const (), CallHandle, FailureHandle) -> FfiFuture<Verdict>>,
    /// Since 1.1: the hook that runs beside the upstream call; only async.
    pub on_llm_during_async:
        Option<unsafe extern "C" fn(*const (), CallHandle) -> FfiFuture<Verdict>>,
    /// Since 1.1: says who sent a request. A gateway that has it refuses the request if it fails.
    pub on_auth: Option<unsafe extern "C" fn(*const (), AuthHandle) -> Verdict>,
    /// See `on_auth`.
    pub on_auth_async: Option<unsafe extern "C" fn(*const (), AuthHandle) -> FfiFuture<Verdict>>,
    /// Since 1.1: changes the list of models that a caller sees.
    pub on_list_models: Option<unsafe extern "C" fn(*const (), ModelListHandle) -> Verdict>,
    /// See `on_list_models`.
    pub on_list_models_async:
        Option<unsafe extern "C" fn(*const (), ModelListHandle) -> FfiFuture<Verdict>>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_export_macro_writes_the_symbol_the_loader_looks_for() {
        assert_eq!(crate::__root_symbol!(), abi_stable::library::ROOT_MODULE_LOADER_NAME);
    }
}
