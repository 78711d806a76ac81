//! The config, and `callgate check`.

mod check;
mod config_errors;
mod seed;
mod validation;
