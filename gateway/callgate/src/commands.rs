//! What the program does beside serving and `check`: one file a command, and below it the command's
//! parts.

pub mod demo;
pub mod plugin;
