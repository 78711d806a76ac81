//! The services the gateway lends, as tables. A table that is absent is a service this gateway (or
//! this configuration) does not offer; authors see that as `None`.
//!
//! Every function may be called from any thread, from `create` until `destroy` returns and all that
//! was given to `TaskVt` has ended, with the `ctx` of the [`HostHandle`] it came from. None blocks,
//! except where a future says so.

use super::{ApiVersion, View, ViewPair};
use abi_stable::{
    StableAbi,
    std_types::{ROption, RResult, RString, RVec},
};
use async_ffi::FfiFuture;

/// The host, as one callback instance sees it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostHandle {
    /// The host's own; names the callback in logs, counters and grants.
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
    /// Whether a level (1 error … 5 trace) is listened to.
    pub log_enabled: unsafe extern "C" fn(*const (), u32) -> u32,
    /// Level, message, and `len` fields.
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
}

/// The clocks.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ClockVtRef)))]
#[sabi(missing_field(option))]
pub struct ClockVt {
    /// Nanoseconds on a clock that never goes back; its zero means nothing.
    pub monotonic_ns: unsafe extern "C" fn(*const ()) -> u64,
    /// Milliseconds since 1970, UTC; may jump.
    #[sabi(last_prefix_field)]
    pub unix_ms: unsafe extern "C" fn(*const ()) -> u64,
}

/// What became of an attempt to enter a window or take tokens.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawAdmission {
    /// Not 0 when admitted: what `release` takes.
    pub ticket: u64,
    /// When refused, nanoseconds until the next place is free.
    pub wait_ns: u64,
}

/// Counters that live in the gateway: they survive the callback's instance. Nothing here says where
/// they are kept, so that a host may share them between replicas; none does yet. Names are shared
/// by all instances of a callback.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = CountersVtRef)))]
#[sabi(missing_field(option))]
pub struct CountersVt {
    /// Name, limit, span in ns: one place in an exact sliding window.
    pub admit: unsafe extern "C" fn(*const (), View, u64, u64) -> RawAdmission,
    /// Name, ticket: gives a place back; a ticket that is no longer in the window is ignored.
    pub release: unsafe extern "C" fn(*const (), View, u64),
    /// Name, rate per second, burst, tokens: takes from a token bucket.
    pub take: unsafe extern "C" fn(*const (), View, f64, f64, f64) -> RawAdmission,
    /// Name, delta: adds to a plain counter and returns its new value.
    #[sabi(last_prefix_field)]
    pub add: unsafe extern "C" fn(*const (), View, i64) -> i64,
}

/// What a service refused, and why in words. The number is a `HostErrorKind`.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHostError {
    pub kind: u32,
    pub message: RString,
}

/// A key-value store with expiry. The numbers returned are `HostErrorKind`s; 0 is done.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = KvVtRef)))]
#[sabi(missing_field(option))]
pub struct KvVt {
    pub get: unsafe extern "C" fn(*const (), View) -> ROption<RVec<u8>>,
    /// Key, value, milliseconds to live (0: for ever).
    pub set: unsafe extern "C" fn(*const (), View, View, u64) -> u32,
    /// 1 when there was such a key, else 0.
    #[sabi(last_prefix_field)]
    pub delete: unsafe extern "C" fn(*const (), View) -> u32,
}

/// What is registered as a metric; the views live until `register` returns.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawMetric {
    /// 1 counter, 2 gauge, 3 histogram.
    pub kind: u32,
    pub name: View,
    pub help: View,
    /// A histogram's upper bounds, ascending; none: the host's own.
    pub bounds: *const f64,
    pub bounds_len: usize,
}

/// Numbers exported with the gateway's own.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = MetricsVtRef)))]
#[sabi(missing_field(option))]
pub struct MetricsVt {
    /// An id; the same one for the same name.
    pub register: unsafe extern "C" fn(*const (), RawMetric) -> RResult<u64, RawHostError>,
    /// Id, value: adds, sets or records by the kind.
    #[sabi(last_prefix_field)]
    pub record: unsafe extern "C" fn(*const (), u64, f64),
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
    /// The future may be polled on any thread; dropping it gives the request up.
    #[sabi(last_prefix_field)]
    pub request: unsafe extern "C" fn(
        *const (),
        RawHttpRequest,
    ) -> FfiFuture<RResult<RawHttpResponse, RawHostError>>,
}

/// Sleeping without a runtime of one's own.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = TimerVtRef)))]
#[sabi(missing_field(option))]
pub struct TimerVt {
    /// Milliseconds.
    #[sabi(last_prefix_field)]
    pub sleep: unsafe extern "C" fn(*const (), u64) -> FfiFuture<()>,
}

/// Work for a thread that may block: exactly one of the two functions is called, once.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct RawJob {
    /// Runs it.
    pub run: unsafe extern "C" fn(*mut ()),
    /// Drops it: the gateway is ending.
    pub cancel: unsafe extern "C" fn(*mut ()),
    /// What either is given.
    pub arg: *mut (),
}

/// Work beside the call. The numbers returned are `HostErrorKind`s; 0 is accepted. The host stays
/// valid for what was accepted until that has ended, also when the instance ends before.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = TaskVtRef)))]
#[sabi(missing_field(option))]
pub struct TaskVt {
    /// Runs a future beside the calls; it is dropped when it is refused or the gateway ends.
    pub spawn: unsafe extern "C" fn(*const (), FfiFuture<()>) -> u32,
    /// Runs a job on a thread that may block.
    #[sabi(last_prefix_field)]
    pub spawn_blocking: unsafe extern "C" fn(*const (), RawJob) -> u32,
}

/// Secrets the config grants by name.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = SecretsVtRef)))]
#[sabi(missing_field(option))]
pub struct SecretsVt {
    #[sabi(last_prefix_field)]
    pub secret: unsafe extern "C" fn(*const (), View) -> RResult<RString, RawHostError>,
}
