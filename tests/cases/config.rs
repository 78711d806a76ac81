//! The config, and `callgate check`.

mod azure;
mod check;
mod config_errors;
mod copilot;
mod editor_schema;
mod entra;
mod litellm_configs;
mod parameters;
mod providers;
mod seed;
mod validation;
