//! The root that a plugin in C exports, and the arguments and services that it gets. The tables
//! behind the handles are the same as for Rust plugins, because those are plain C.
//! `include/callgate_plugin.h` declares both; a test compares it with the types here. This
//! interface is not stable yet. abi_stable does not check it; the loader checks version, size and
//! pointers itself.

use super::{
    ApiVersion, AuthHandle, CallHandle, ChunkHandle, FailureHandle, HostHandle, ModelListHandle,
    RawAdmission, RawVisitor, ReplyHandle, Verdict, View, ViewPair,
};
use abi_stable::std_types::ROption;

/// The symbol that a plugin in C exports: a [`CRoot`].
pub const C_ROOT_SYMBOL: &str = "callgate_plugin_c_v1";

/// Returns the plugin's table, which must never move.
pub type CRoot = unsafe extern "C" fn() -> *const CPlugin;

/// A plugin's table. Check `api` and `size` before you read anything else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CPlugin {
    /// The contract that the plugin was compiled against.
    pub api: ApiVersion,
    /// The size of this table in bytes.
    pub size: u32,
    /// The manifest, byte for byte as in the section.
    pub manifest: Option<unsafe extern "C" fn() -> View>,
    /// Makes an instance and returns 0, or returns another number.
    pub create: Option<unsafe extern "C" fn(*const CCreateArgs, *mut *mut ()) -> u32>,
    /// As in `CallbackVt`.
    pub destroy: Option<unsafe extern "C" fn(*mut ())>,
    /// As in `CallbackVt`. May be missing.
    pub shutdown: Option<unsafe extern "C" fn(*const ())>,
    pub on_llm_start: Option<unsafe extern "C" fn(*const (), CallHandle) -> Verdict>,
    pub on_llm_new_token:
        Option<unsafe extern "C" fn(*const (), CallHandle, ChunkHandle) -> Verdict>,
    pub on_llm_end: Option<unsafe extern "C" fn(*const (), CallHandle, ReplyHandle) -> Verdict>,
    pub on_llm_error: Option<unsafe extern "C" fn(*const (), CallHandle, FailureHandle) -> Verdict>,
    /// Since 1.1.
    pub on_auth: Option<unsafe extern "C" fn(*const (), AuthHandle) -> Verdict>,
    /// Since 1.1.
    pub on_list_models: Option<unsafe extern "C" fn(*const (), ModelListHandle) -> Verdict>,
}

/// The arguments of [`CPlugin::create`]. All but the host are valid until it returns.
#[repr(C)]
pub struct CCreateArgs {
    /// The size of this table in bytes.
    pub size: usize,
    /// The instance's name in the config.
    pub instance: View,
    /// The settings: one JSON object.
    pub settings: View,
    /// Valid until `destroy` returns.
    pub host: *const CHost,
    /// The first argument of `refuse`.
    pub refusal: *mut (),
    /// Passes the reason why no instance can be made.
    pub refuse: unsafe extern "C" fn(*mut (), View),
}

/// The host's services in one table. Services that the host does not offer are missing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct CHost {
    /// The size of this table in bytes.
    pub size: usize,
    /// The contract the gateway was compiled against.
    pub api: ApiVersion,
    /// The first argument of every function.
    pub ctx: *const (),
    pub log_enabled: unsafe extern "C" fn(*const (), u32) -> u32,
    pub log: unsafe extern "C" fn(*const (), u32, View, *const ViewPair, usize),
    pub monotonic_ns: Option<unsafe extern "C" fn(*const ()) -> u64>,
    pub unix_ms: Option<unsafe extern "C" fn(*const ()) -> u64>,
    pub admit: Option<unsafe extern "C" fn(*const (), View, u64, u64) -> RawAdmission>,
    pub release: Option<unsafe extern "C" fn(*const (), View, u64)>,
    pub take: Option<unsafe extern "C" fn(*const (), View, f64, f64, f64) -> RawAdmission>,
    pub add: Option<unsafe extern "C" fn(*const (), View, i64) -> i64>,
    pub add_for: Option<unsafe extern "C" fn(*const (), View, i64, u64) -> i64>,
    pub remove: Option<unsafe extern "C" fn(*const (), View) -> i64>,
    pub list: Option<unsafe extern "C" fn(*const (), View, View, usize, RawVisitor)>,
    pub has_model: Option<unsafe extern "C" fn(*const (), View) -> u32>,
}

// SAFETY: the contract of `abi::host`: any function from any thread, with its own `ctx`.
unsafe impl Send for CHost {}
// SAFETY: as above.
unsafe impl Sync for CHost {}

impl CHost {
    /// Returns the services of `host`, valid as long as the host.
    #[must_use]
    pub fn of(host: HostHandle) -> Self {
        let (vt, ctx) = (host.vt, host.ctx);
        let (clock, counters) = (vt.clock().into_option(), vt.counters().into_option());
        let entry = vt.entry().and_then(ROption::into_option);
        Self {
            size: size_of::<Self>(),
            api: vt.api(),
            ctx,
            log_enabled: vt.log_enabled(),
            log: vt.log(),
            monotonic_ns: clock.map(|clock| clock.monotonic_ns()),
            unix_ms: clock.map(|clock| clock.unix_ms()),
            admit: counters.map(|counters| counters.admit()),
            release: counters.map(|counters| counters.release()),
            take: counters.map(|counters| counters.take()),
            add: counters.map(|counters| counters.add()),
            add_for: counters.and_then(|counters| counters.add_for()),
            remove: counters.and_then(|counters| counters.remove()),
            list: counters.and_then(|counters| counters.list()),
            has_model: entry.map(|entry| entry.has_model()),
        }
    }
}

#[cfg(test)]
mod tests;
