//! The config, and `callgate check`.

mod azure;
mod check;
mod config_errors;
mod entra;
mod providers;
mod seed;
mod validation;
