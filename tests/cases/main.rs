//! All end-to-end cases, one module for each feature, in one binary. Cases drive the built gateway
//! from outside; a test without a socket belongs beside the code it tests.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod abi;
mod audit_log;
mod auth;
mod bad_input;
mod blocking;
mod bounds;
mod breaker;
mod c_plugins;
mod callbacks;
mod chat;
mod check;
mod clients;
mod config_errors;
mod connections;
mod coverage;
mod crashes;
mod cut_off;
mod disclosure;
mod disconnect;
mod documents;
mod drain;
mod encodings;
mod errors;
mod evil_files;
mod fail_closed;
mod faults;
mod faulty;
mod guardrail;
mod headers;
mod health;
mod hook_data;
mod hostile;
mod install;
mod introspection;
mod keys;
mod langsmith;
mod load_guard;
mod log;
mod loop_guard;
mod metrics;
mod models;
mod newer_services;
mod odd_upstreams;
mod ollama;
mod panics;
mod plugin_files;
mod plugin_tools;
mod providers;
mod rate_limit;
mod reload;
mod reply_headers;
mod rollback;
mod routing;
mod scope;
mod secrets;
mod seed;
mod services;
mod shadow;
mod slow;
mod streaming;
mod tidy;
mod timeouts;
mod tls;
mod truncated;
mod two_readers;
mod validation;
mod web_pages;
mod whole_or_error;
