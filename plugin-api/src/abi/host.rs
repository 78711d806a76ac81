//! The gateway's services, as tables. A missing table is a service that the gateway does not offer;
//! authors see it as `None`.
//!
//! Every function takes the `ctx` of the [`HostHandle`] it came from and may be called from any
//! thread, from `create` until `destroy` has returned and all work given to `TaskVt` has ended. No
//! function blocks; functions that have to wait return a future.

use super::{ApiVersion, View, ViewPair};
use abi_stable::{
    StableAbi,
    std_types::{ROption, RResult, RString, RVec},
};
use async_ffi::FfiFuture;

/// The host of one callback instance.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostHandle {
    /// The host's own data, opaque to the plugin.
    pub ctx: *const (),
    /// The services.
    pub vt: HostVtRef,
}

/// The services of the host.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostVtRef)))]
#[sabi(missing_field(option))]
pub struct HostVt {
    /// The contract the gateway was compiled against.
    pub api: ApiVersion,
    /// Returns whether lines of a level (1 error … 5 trace) are kept.
    pub log_enabled: unsafe extern "C" fn(*const (), u32) -> u32,
    /// Writes a line: level, message, and `len` fields.
    pub log: unsafe extern "C" fn(*const (), u32, View, *const ViewPair, usize),
    pub clock: ROption<ClockVtRef>,
    pub counters: ROption<CountersVtRef>,
    pub kv: ROption<KvVtRef>,
    pub metrics: ROption<MetricsVtRef>,
    pub http: ROption<HttpVtRef>,
    pub timer: ROption<TimerVtRef>,
    pub task: ROption<TaskVtRef>,
    #[sabi(last_prefix_field)]
    pub secrets: ROption<SecretsVtRef>,
    /// Since 1.1.
    pub entry: ROption<EntryVtRef>,
    /// Since 1.1.
    pub llm: ROption<LlmVtRef>,
}

/// Since 1.1. A chat completion that a callback makes.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawLlmRequest {
    /// The body, as a client would send it.
    pub body: RVec<u8>,
    /// 0: no limit of its own.
    pub timeout_ms: u64,
}

/// Since 1.1. Calls of the config's models, by the gateway itself.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = LlmVtRef)))]
#[sabi(missing_field(option))]
pub struct LlmVt {
    /// Makes a chat completion. The future may be polled on any thread; dropping it cancels the
    /// call.
    pub chat: unsafe extern "C" fn(
        *const (),
        RawLlmRequest,
    ) -> FfiFuture<RResult<RawHttpResponse, RawHostError>>,
    /// Returns the error with which a call of this model would be refused, if any.
    #[sabi(last_prefix_field)]
    pub permits: unsafe extern "C" fn(*const (), View) -> ROption<RawHostError>,
}

/// Since 1.1. The callback's entry of the config, and what surrounds it. After a reload that keeps
/// the instance, the functions answer for the new config.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = EntryVtRef)))]
#[sabi(missing_field(option))]
pub struct EntryVt {
    /// Returns the name that the plugin exports the callback by, valid as long as the host.
    pub name: unsafe extern "C" fn(*const ()) -> View,
    /// Returns the instance's name, unique in the list and valid as long as the host.
    pub instance: unsafe extern "C" fn(*const ()) -> View,
    /// Returns the index in the config's list, from 0; `u64::MAX` if it is not known.
    pub position: unsafe extern "C" fn(*const ()) -> u64,
    /// Returns 1 if the config serves a model name, 0 if not, 2 if that is not known.
    pub has_model: unsafe extern "C" fn(*const (), View) -> u32,
    /// Visits the public names and the wildcards of the models. Returns 0 if they are not known.
    pub models: unsafe extern "C" fn(*const (), RawVisitor) -> u32,
    /// Returns the entry's own folder for what must survive a restart.
    #[sabi(last_prefix_field)]
    pub state_dir: unsafe extern "C" fn(*const ()) -> ROption<RString>,
}

/// The clocks.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ClockVtRef)))]
#[sabi(missing_field(option))]
pub struct ClockVt {
    /// Nanoseconds on a clock that never goes back, from an arbitrary start.
    pub monotonic_ns: unsafe extern "C" fn(*const ()) -> u64,
    /// Milliseconds since 1970-01-01 UTC. May jump.
    #[sabi(last_prefix_field)]
    pub unix_ms: unsafe extern "C" fn(*const ()) -> u64,
}

/// The result of an attempt to enter a window or to take tokens.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAdmission {
    /// The ticket for `release`; 0 if not admitted.
    pub ticket: u64,
    /// If not admitted, nanoseconds until the next attempt can succeed.
    pub wait_ns: u64,
}

/// A function that gets names one after another, before the function that it was passed to returns.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawVisitor {
    /// Gets `arg`, a name, and the name's number. It must not call the host.
    pub visit: unsafe extern "C" fn(*mut (), View, i64),
    /// The first argument of `visit`.
    pub arg: *mut (),
}

/// Counters in the gateway. They outlive the callback's instance, and all instances of an entry
/// share them. The interface does not say where a host keeps them.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = CountersVtRef)))]
#[sabi(missing_field(option))]
pub struct CountersVt {
    /// Takes a place in an exact sliding window: name, limit, span in ns.
    pub admit: unsafe extern "C" fn(*const (), View, u64, u64) -> RawAdmission,
    /// Gives a place back: name, ticket. A ticket that has left the window is ignored.
    pub release: unsafe extern "C" fn(*const (), View, u64),
    /// Takes from a token bucket: name, rate per second, burst, tokens.
    pub take: unsafe extern "C" fn(*const (), View, f64, f64, f64) -> RawAdmission,
    /// Adds to a plain counter and returns its new value: name, delta.
    #[sabi(last_prefix_field)]
    pub add: unsafe extern "C" fn(*const (), View, i64) -> i64,
    /// Since 1.1. Like `add`, for a number that is forgotten after a time: name, delta, ns. The
    /// time counts from the call that makes the number or first gives it a time.
    pub add_for: unsafe extern "C" fn(*const (), View, i64, u64) -> i64,
    /// Since 1.1. Removes a number and returns its last value.
    pub remove: unsafe extern "C" fn(*const (), View) -> i64,
    /// Since 1.1. Visits numbers other than 0 with their values, in the order of their names: the
    /// names' prefix, the name to start after, the most names.
    pub list: unsafe extern "C" fn(*const (), View, View, usize, RawVisitor),
}

/// An error of a service: a `HostErrorKind`, and a text.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHostError {
    pub kind: u32,
    pub message: RString,
}

/// A key-value store with expiry. Returned numbers are `HostErrorKind`s; 0 means success.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = KvVtRef)))]
#[sabi(missing_field(option))]
pub struct KvVt {
    pub get: unsafe extern "C" fn(*const (), View) -> ROption<RVec<u8>>,
    /// Sets a value: key, value, milliseconds to live (0: no expiry).
    pub set: unsafe extern "C" fn(*const (), View, View, u64) -> u32,
    /// Removes a key. Returns 1 if it existed, else 0.
    #[sabi(last_prefix_field)]
    pub delete: unsafe extern "C" fn(*const (), View) -> u32,
    /// Since 1.1. Like `set`. If the store is full, the least recently used of the values that this
    /// function set make room.
    pub set_evicting: unsafe extern "C" fn(*const (), View, View, u64) -> u32,
    /// Since 1.1. Visits keys with their values' lengths, in order: the keys' prefix, the key to
    /// start after, the most keys.
    pub list: unsafe extern "C" fn(*const (), View, View, usize, RawVisitor),
}

/// A metric to register. The views are valid until `register` returns.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawMetric {
    /// 1 counter, 2 gauge, 3 histogram.
    pub kind: u32,
    pub name: View,
    pub help: View,
    /// A histogram's upper bounds, ascending. If there are none, the host chooses them.
    pub bounds: *const f64,
    pub bounds_len: usize,
}

/// Metrics in the gateway's `GET /metrics`.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MetricsVtRef)))]
#[sabi(missing_field(option))]
pub struct MetricsVt {
    /// Registers a metric and returns its id. The same name has the same id.
    pub register: unsafe extern "C" fn(*const (), RawMetric) -> RResult<u64, RawHostError>,
    /// Adds, sets or records a value, depending on the kind: id, value.
    #[sabi(last_prefix_field)]
    pub record: unsafe extern "C" fn(*const (), u64, f64),
    /// Since 1.1. Registers a metric with labels and returns its id for `series`: the metric, and
    /// the labels' names.
    pub register_labeled: unsafe extern "C" fn(
        *const (),
        RawMetric,
        *const View,
        usize,
    ) -> RResult<u64, RawHostError>,
    /// Since 1.1. Returns the id of one series for `record`: the metric's id, and the labels'
    /// values in the order of their names.
    pub series:
        unsafe extern "C" fn(*const (), u64, *const View, usize) -> RResult<u64, RawHostError>,
}

/// A request of the host's HTTP client.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHttpRequest {
    pub method: RString,
    pub url: RString,
    pub headers: RVec<RawHeader>,
    pub body: RVec<u8>,
    /// 0: the host's default.
    pub timeout_ms: u64,
}

/// An owned header.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHeader {
    pub name: RString,
    pub value: RString,
}

/// A reply to the host's HTTP client.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHttpResponse {
    pub status: u32,
    pub headers: RVec<RawHeader>,
    pub body: RVec<u8>,
}

/// The host's pooled HTTP client.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HttpVtRef)))]
#[sabi(missing_field(option))]
pub struct HttpVt {
    /// Sends a request. The future may be polled on any thread; dropping it cancels the request.
    #[sabi(last_prefix_field)]
    pub request: unsafe extern "C" fn(
        *const (),
        RawHttpRequest,
    ) -> FfiFuture<RResult<RawHttpResponse, RawHostError>>,
    /// Since 1.1. Returns the error with which a request to this URL would be refused, if any.
    pub permits: unsafe extern "C" fn(*const (), View) -> ROption<RawHostError>,
}

/// Sleeps without a runtime in the plugin.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = TimerVtRef)))]
#[sabi(missing_field(option))]
pub struct TimerVt {
    /// Sleeps for this many milliseconds.
    #[sabi(last_prefix_field)]
    pub sleep: unsafe extern "C" fn(*const (), u64) -> FfiFuture<()>,
}

/// A job for a thread that may block. The host calls exactly one of the two functions, once.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawJob {
    /// Runs the job.
    pub run: unsafe extern "C" fn(*mut ()),
    /// Drops the job, because the gateway is shutting down.
    pub cancel: unsafe extern "C" fn(*mut ()),
    /// The argument of both functions.
    pub arg: *mut (),
}

/// Background work. Returned numbers are `HostErrorKind`s; 0 means accepted. The host stays valid
/// for accepted work until that has ended, even if the instance ends before.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = TaskVtRef)))]
#[sabi(missing_field(option))]
pub struct TaskVt {
    /// Runs a future in the background. It is dropped if it is refused or the gateway ends.
    pub spawn: unsafe extern "C" fn(*const (), FfiFuture<()>) -> u32,
    /// Runs a job on a thread that may block.
    #[sabi(last_prefix_field)]
    pub spawn_blocking: unsafe extern "C" fn(*const (), RawJob) -> u32,
    /// Since 1.1. Returns a future that completes when the instance's shutdown begins.
    pub shutdown: unsafe extern "C" fn(*const ()) -> FfiFuture<()>,
}

/// Secrets that the config grants, by name.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = SecretsVtRef)))]
#[sabi(missing_field(option))]
pub struct SecretsVt {
    #[sabi(last_prefix_field)]
    pub secret: unsafe extern "C" fn(*const (), View) -> RResult<RString, RawHostError>,
    /// Since 1.1. Returns 1 if `secret` has a value, else 0.
    pub has: unsafe extern "C" fn(*const (), View) -> u32,
}
