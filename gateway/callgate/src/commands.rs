//! The commands of the program other than serving and `check`: one file for each, and a folder for
//! its parts.

pub mod config_schema;
pub mod demo;
pub mod key;
pub mod plugin;
pub mod reload;
