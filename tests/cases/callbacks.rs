//! Callbacks in the chain: what their hooks see and may do, their policies, and the shipped ones.

mod audit_log;
mod blocking;
mod breaker;
mod buffered_streams;
mod chunks;
mod coverage;
mod crashes;
mod during;
mod fail_closed;
mod faults;
pub(crate) mod faulty;
mod guardrail;
mod hook_data;
mod introspection;
mod langsmith;
mod newer_services;
mod order;
mod panics;
mod rate_limit;
mod reply_headers;
mod reply_streams;
mod rollback;
mod routing;
mod scope;
pub(crate) mod services;
mod shadow;
mod slow;
