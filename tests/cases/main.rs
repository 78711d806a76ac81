//! All end-to-end cases, one module for each feature, in one binary. Cases drive the built gateway
//! from outside; a test without a socket belongs beside the code it tests.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod callbacks;
mod calls;
mod config;
mod docs;
mod plugins;
mod tools;
