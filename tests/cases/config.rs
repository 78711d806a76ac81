//! The config, and `callgate check`.

mod azure;
mod check;
mod config_errors;
mod providers;
mod seed;
mod validation;
