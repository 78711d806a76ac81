//! Finds the deployment for a model name. Built once at startup, then only read. `config` reads the
//! YAML, `providers` has the dialects, `upstream` sends.

#![forbid(unsafe_code)]

mod azure;
mod base;
mod build;
mod catch_all;
mod certificates;
mod connectors;
mod credential;
mod defaults;
mod deployment;
mod index;
mod infer;
mod lookup;
mod secrets;
mod stand_in;
#[cfg(test)]
mod tests;
mod tls_files;
mod token_file;
mod unset;
mod weight;
mod wildcard;

pub use callgate_config::Setting;
pub use callgate_upstream::TokenSource;
pub use certificates::certificate_problems;
pub use deployment::{DEFAULT_TIMEOUT, Deployment};
pub use lookup::{Chosen, Deployments, Group, Names};
pub use token_file::token_files;
pub use unset::nothing_but_unset;
